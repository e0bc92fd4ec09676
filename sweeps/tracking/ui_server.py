"""MLflow's UI of a sweep, protected by a token because all users share loopback."""

import base64
import binascii
import hmac
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection
    from starlette.types import ASGIApp, Receive, Scope, Send

TOKEN = "KDSWEEP_UI_TOKEN"  # noqa: S105 - its name
"""Variable with the token: other users can see arguments, but not the environment."""


class Gate:
    """Accepts only requests with the token, and forwards them to an app.

    The token is in the address of the first request, which sets a cookie, or it is a bearer token
    or the password of any user, as with ``MLFLOW_TRACKING_TOKEN`` and ``MLFLOW_TRACKING_PASSWORD``.
    The cookie's name contains the port, because browsers send cookies to all ports of a host.
    """

    def __init__(self, app: "ASGIApp", token: str, port: int) -> None:
        self._app, self._token, self._cookie = app, token.encode(), f"kdsweep-{port}"

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Forward a request, set the cookie, or reject the request."""
        from starlette.requests import HTTPConnection
        from starlette.responses import PlainTextResponse, RedirectResponse

        request = HTTPConnection(scope)
        if self._known(request):
            await self._app(scope, receive, send)
            return
        query_token = request.query_params.get("token", "")
        if scope["type"] == "http" and self._is_token(query_token):
            answer = RedirectResponse("/", 303, {"Referrer-Policy": "no-referrer"})
            answer.set_cookie(self._cookie, query_token, httponly=True, samesite="strict")
            await answer(scope, receive, send)
        elif scope["type"] == "http":
            text = "open the address that kdsweep ui printed, or give its token as the password\n"
            challenge = {"WWW-Authenticate": 'Basic realm="kdsweep"'}
            await PlainTextResponse(text, 401, challenge)(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _known(self, request: "HTTPConnection") -> bool:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._is_token(given.strip())
        if scheme.lower() == "basic":
            try:
                pair = base64.b64decode(given, validate=True).decode("latin-1")
            except (binascii.Error, ValueError):
                return False
            return self._is_token(pair.partition(":")[2])
        return self._is_token(request.cookies.get(self._cookie, ""))

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._token)


def serve(uri: str, root: str, port: int) -> None:
    """Serve MLflow's database ``uri`` on loopback until Ctrl-C.

    Artifacts are files of this machine, so that no artifact proxy is needed; those of new
    experiments go to ``root``.
    """
    from mlflow.server import constants

    token = os.environ.pop(TOKEN)
    os.environ[constants.BACKEND_STORE_URI_ENV_VAR] = uri
    os.environ[constants.REGISTRY_STORE_URI_ENV_VAR] = uri
    os.environ[constants.ARTIFACT_ROOT_ENV_VAR] = root
    os.environ["_MLFLOW_SGI_NAME"] = "uvicorn"

    import uvicorn
    from mlflow.server.fastapi_app import app
    from mlflow.server.handlers import initialize_backend_stores

    initialize_backend_stores(uri, uri, root)
    # without lifespan events, which only start MLflow's background jobs, Ctrl-C stops it quietly
    gate = Gate(app, token, port)
    uvicorn.run(gate, host="127.0.0.1", port=port, log_level="warning", lifespan="off")


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]))
