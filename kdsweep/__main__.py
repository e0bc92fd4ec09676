"""The command ``kdsweep``, as ``python -m kdsweep``."""

from kdsweep import main

main()
