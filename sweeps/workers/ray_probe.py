"""List the machines of a Ray cluster, in a separate process: ``ray_probe.py ADDRESS [DIR]``.

It is run by its path and imports none of our modules, so that no other file can shadow them.
Without an answer, Ray tries for two minutes and then ends its process; a separate process can be
stopped earlier, and may end. With a folder it starts a Ray there, which may abort.
"""

import contextlib
import json
import logging
import sys
from typing import Any

import ray


def main() -> None:
    """Print the machines, or an error, as JSON."""
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
        except Exception as error:  # noqa: BLE001 - any error of Ray is shown to the user
            found = {"error": f"{type(error).__name__}: {error}"}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
