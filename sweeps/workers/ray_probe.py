"""Ask a Ray cluster what machines it has, in a process of its own: ``ray_probe.py ADDRESS [DIR]``.

It is run by its path and imports nothing of ours, so that nobody else's module can be meant. Where
nobody answers, Ray tries for two minutes and then ends the process that asked; a process of
its own can be given up earlier, and may end. With a folder it starts a Ray there, which may abort.
"""

import contextlib
import json
import logging
import sys
from typing import Any

import ray


def main() -> None:
    """Print the machines as JSON, or why they cannot be had."""
    with contextlib.redirect_stdout(sys.stderr):
        try:
            facts: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
            if len(sys.argv) > 2:  # start one, in a folder
                facts |= {"num_cpus": 1, "include_dashboard": False, "_temp_dir": sys.argv[2]}
            ray.init(address=sys.argv[1], **facts)
            nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
            alive = [node["Resources"] for node in nodes if node["Alive"]]
            machines = [[node.get("CPU", 0.0), node.get("GPU", 0.0)] for node in alive]
            found: dict[str, Any] = {"machines": machines}
        except Exception as error:  # noqa: BLE001 - whatever Ray says is for the user
            found = {"error": f"{type(error).__name__}: {error}"}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
