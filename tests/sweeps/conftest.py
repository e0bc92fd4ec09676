import signal
import sys
from pathlib import Path

# "toy_task:ToyTask" is named in studies, so workers must be able to import it, too.
sys.path.insert(0, str(Path(__file__).parent))

# What is started in the background by a shell ignores these, and so would every sweep of the tests.
for number, handler in {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGHUP: signal.SIG_DFL,
}.items():
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)
