"""Who gets through to MLflow's UI."""

import asyncio
import base64
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

import pytest
from starlette.responses import PlainTextResponse

from sweeps.tracking.ui_server import Gate

TOKEN = "right-token"  # noqa: S105 - made up
COOKIE = "kdsweep-5000"


@dataclass
class Answer:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    text: str = ""


def ask(target: str, method: str = "GET", **headers: str) -> Answer:
    """Ask a gate with an application behind it that says "in"."""
    path, _, query = target.partition("?")
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope = {
        "type": "http",
        "method": method,
        "path": unquote_to_bytes(path).decode(),
        "query_string": query.encode(),
        "headers": raw,
    }
    answer = Answer()

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b""}

    async def send(message) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {k.decode(): v.decode() for k, v in message["headers"]}
        else:
            answer.text += message["body"].decode()

    asyncio.run(Gate(PlainTextResponse("in"), TOKEN, 5000)(scope, receive, send))
    return answer


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic ?"},
        {"Authorization": "Basic \xff"},
        {"Authorization": basic(TOKEN, "")},
        {"Authorization": basic("any", "wröng")},
        {"Cookie": f"{COOKIE}=wrong"},
        {"Cookie": f"kdsweep-5001={TOKEN}"},
        {"Cookie": "\xff\x01;;=;"},
    ],
    ids=repr,
)
@pytest.mark.parametrize("path", ["/", "/health", "/?token=", "/?token=%ff", "/x?token=wrong"])
def test_without_the_token_nothing_is_passed_on(path: str, headers: dict[str, str]) -> None:
    for method in ("GET", "POST", "DELETE"):
        answer = ask(path, method, **headers)
        assert answer.status == 401
        assert "set-cookie" not in answer.headers
        assert TOKEN not in answer.text


@pytest.mark.parametrize("given", [f"Bearer {TOKEN}", basic("any", TOKEN), basic("", TOKEN)])
def test_clients_give_it_as_token_or_password(given: str) -> None:
    assert ask("/api", "POST", Authorization=given).text == "in"


def test_a_browser_gets_a_cookie_and_an_address_without_it() -> None:
    first = ask(f"//elsewhere.example/?token={TOKEN}")
    assert (first.status, first.headers["location"]) == (303, "/")
    cookie = first.headers["set-cookie"]
    assert "httponly" in cookie.lower()
    assert "samesite=strict" in cookie.lower()
    assert ask("/anything", Cookie=cookie.partition(";")[0]).text == "in"
