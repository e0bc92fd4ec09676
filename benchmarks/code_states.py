"""Add the code of today to the states that compute equal numbers: ``code_states.py NAME [--anew]``.

Sweeps and teachers of one state may be resumed and used with another, so do this after files were
moved or renamed and `make test` has passed with its golden values unchanged. When a number has
changed, ``--anew`` forgets the states before. It prints how many modules the state has.
"""

import argparse
import json
from pathlib import Path

from kdtasks.contract.source_code import STATES, sources
from sweeps.ledger.identity import CONDUCTOR

ROOT = Path(__file__).resolve().parents[1]


def state() -> dict[str, str]:
    """Return the digests of all modules of ours that trials may run."""
    files = sorted((ROOT / "kdtasks").rglob("*.py"))
    names = (".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files)
    return sources(*(name.removesuffix(".__init__") for name in names), CONDUCTOR)


def main() -> None:
    """Write the file of states."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("name", help="such as 0.2.0 or a date")
    parser.add_argument(
        "--anew", action="store_true", help="numbers have changed: forget the others"
    )
    options = parser.parse_args()
    states = {} if options.anew or not STATES.exists() else json.loads(STATES.read_text())
    states[options.name] = state()
    STATES.write_text(json.dumps(states, indent=0, sort_keys=True) + "\n", encoding="utf-8")
    print(f"{options.name}: {len(states[options.name])} modules; {len(states)} states")


if __name__ == "__main__":
    main()
