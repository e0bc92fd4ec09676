"""Optuna Dashboard of a sweep's ledger: from a copy that nobody changes, behind a token."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from warnings import catch_warnings, simplefilter

from kdtasks.contract.errors import ConfigError
from kdtasks.data.reading import MOST_LOG_BYTES, read_bytes
from sweeps.ledger.journal import whole_lines
from sweeps.ledger.ledger import Ledger
from sweeps.tracking.ui_server import Gate

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

PACKAGE = "optuna_dashboard"
READS = ("GET", "HEAD")
"""Methods of requests that change nothing."""


def check_installed() -> None:
    """Check that the dashboard is there.

    Raises:
        ConfigError: With the command that installs it.
    """
    if find_spec(PACKAGE) is None:
        raise ConfigError(
            "--optuna: Optuna Dashboard is not installed; install it with: "
            f"{sys.executable} -m pip install optuna-dashboard"
        )


@contextmanager
def copied(journal: Path) -> Iterator[Path]:
    """Yield a copy of a ledger, which may be written to at the same time, removed at the end.

    Raises:
        DataError: If the ledger is damaged.
    """
    with TemporaryDirectory(prefix="kdsweep-optuna-") as folder:
        copy = Path(folder) / journal.name
        copy.write_bytes(whole_lines(read_bytes(journal, MOST_LOG_BYTES)))
        Ledger.open(copy)
        yield copy


class ReadOnly:
    """Forwards requests that change nothing; a change to the copy would be lost without a word."""

    def __init__(self, app: "ASGIApp") -> None:
        self._app = app

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Forward a request, or reject it."""
        from starlette.responses import PlainTextResponse

        if scope.get("method") in READS:
            await self._app(scope, receive, send)
            return
        text = "this is a copy of the sweep's ledger, which cannot be changed\n"
        await PlainTextResponse(text, 405, {"Allow": ", ".join(READS)})(scope, receive, send)


def dashboard(journal: Path) -> "ASGIApp":
    """Return the dashboard of a journal that nobody writes to."""
    from optuna_dashboard import wsgi

    with catch_warnings():
        simplefilter("ignore")  # deprecated, but MLflow's own UI stands on it
        from starlette.middleware.wsgi import WSGIMiddleware

    return ReadOnly(WSGIMiddleware(wsgi(str(journal))))


def serve(journal: Path, port: int, token: str) -> None:
    """Serve the dashboard of a copy of ``journal`` on loopback until Ctrl-C."""
    import uvicorn

    with copied(journal) as copy:
        gate = Gate(dashboard(copy), token, port)
        uvicorn.run(gate, host="127.0.0.1", port=port, log_level="warning", lifespan="off")
