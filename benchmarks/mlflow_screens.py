"""Screenshots of a sweep in MLflow's own UI, clicked through as a person does.

Starts `kdsweep ui`, follows the links that it prints, and keeps a picture of each page: the table
of the front, its charts, its runs compared by parallel coordinates, scatter and contour, the model
registry with its aliases. Whatever is not found or cannot be clicked ends it with an error.

Needs a Chromium or Chrome, and playwright, which is in the extra ``dev``. The pictures of the
registry need `kdsweep register NAME` before.

Example::

    python benchmarks/mlflow_screens.py csi-feedback --contour width learning_rate val_nmse_db
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Locator, Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
MODEL_TRAINING = "workflowType=machine_learning"
CALL = "import sys; from sweeps.cli.main import main; main(sys.argv[1:])"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SIZE = {"width": 1600, "height": 1000}
PATIENCE_S = 90.0
"""How long the server may take to start, and a page to show something [s]."""

REMEMBERED = {
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
    "mlflow.workflowType_v1": '"machine_learning"',
}
"""What MLflow remembers in a browser: its assistant, which hides part of a page, was seen, and the
pages for models were chosen."""

SECTION = re.compile(r"Front\s*\(\d+\)")
"""Heading of the charts that our views open with."""

MUCH = 1 << 20
"""More bytes than the command prints before it becomes the server."""

LINK = re.compile(r"  (?P<title>.+): (?P<address>http\S+)")
"""A line of `kdsweep ui`."""

RUN = re.compile(r"#/experiments/(?P<experiment>\w+)/runs\?.*kdsweep-(?P<run>\w+)-front")
"""The front's address holds the ids of the experiment and of the sweep's own run."""

LINES = ".parcoords canvas"
"""Parallel coordinates among the charts are drawn by another library, and later."""

PLOT = ".js-plotly-plot svg.main-svg"
"""Every figure of the page on which runs are compared is one of plotly's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """MLflow's UI of a sweep.

    Attributes:
        address: Of the server.
        links: Addresses of its views, by title.
    """

    address: str
    links: dict[str, str]


def find_browser() -> str | None:
    """Return the path of a Chromium or Chrome; None if there is none."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


@contextmanager
def served(name: str, home: Path, port: int) -> Iterator[Served]:
    """Run `kdsweep ui` inside, and yield what it prints."""
    command = [sys.executable, "-c", CALL, "ui", name, "--home", str(home), "--port", str(port)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, bufsize=0, start_new_session=True
    ) as server:
        assert server.stdout is not None
        try:
            address = server.stdout.readline().decode().split(": ", 1)[1].split()[0]
            _wait_for(address, server)
            os.set_blocking(server.stdout.fileno(), False)
            printed = (server.stdout.read(MUCH) or b"").decode()
            links = filter(None, map(LINK.fullmatch, printed.splitlines()))
            yield Served(address=address, links={link["title"]: link["address"] for link in links})
        finally:
            os.killpg(server.pid, signal.SIGINT)


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s and server.poll() is None:
        try:
            opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
            with opener.open(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"{url} does not answer")


@contextmanager
def browsing(executable: str) -> Iterator[Page]:
    """Open a headless browser that reaches this machine alone, and yield its page."""
    with sync_playwright() as driver:
        flags = ["--no-sandbox", "--disable-gpu"]
        browser = driver.chromium.launch(executable_path=executable, args=flags)
        page = browser.new_page(viewport=SIZE)
        page.set_default_timeout(1000 * PATIENCE_S)
        expect.set_options(timeout=1000 * PATIENCE_S)
        for name, value in REMEMBERED.items():
            page.context.add_init_script(f"localStorage.setItem('{name}', '{value}')")
        page.route(lambda url: "//127.0.0.1" not in url, lambda route: route.abort())
        try:
            yield page
        finally:
            browser.close()


class Tour:
    """Goes through the pages of a sweep.

    Args:
        page: The browser's page.
        found: MLflow's UI of the sweep.
        out: Folder of the pictures.
    """

    def __init__(self, page: Page, found: Served, out: Path) -> None:
        self._page = page
        self._found = found
        self._out = out
        self.pictures: list[Path] = []
        """What was kept, in order."""

    def table(self) -> int:
        """Open the front as a table; return how many runs it has."""
        self._page.goto(self._found.links["the front"])
        expect(_trials(self._page).first).to_be_visible()
        counted = self._page.get_by_text(re.compile(r"^\d+ matching runs?$"))
        expect(counted).to_be_visible()
        self._keep("runs-table")
        return int(counted.inner_text().split()[0])

    def charts(self) -> None:
        """Open the ranks near the front as charts."""
        self._page.goto(self._found.links["the ranks near it as charts"])
        section = self._page.get_by_role("figure").filter(has_text=SECTION).first
        expect(section).to_be_visible()
        expect(self._page.get_by_role("heading", name="Parallel Coordinates")).to_be_visible()
        expect(self._page.locator(LINES).first).to_be_visible()
        expect(self._page.locator(PLOT).first).to_be_visible()
        self._keep("charts")

    def compare(self, axes: Sequence[str]) -> None:
        """Select all runs of the table, compare them, and click through the figures.

        Args:
            axes: Parameters or metrics of the contour, three of them with several values each.
        """
        self._page.goto(self._found.links["the front"])
        expect(_trials(self._page).first).to_be_visible()
        self._page.locator(".ag-header").get_by_role("checkbox").first.click()
        self._page.get_by_test_id("runs-compare-button").click()
        self._figure("Parallel Coordinates Plot")
        self._figure("Scatter Plot")
        self._tab("Contour Plot")
        for label, axis in zip("XYZ", axes, strict=True):
            self._page.get_by_role("combobox", name=f"{label}-axis:").click()
            self._page.get_by_role("option", name=axis, exact=True).click()
        self._figure("Contour Plot")

    def _tab(self, title: str) -> None:
        self._page.get_by_role("tab", name=title).click()

    def _figure(self, title: str) -> None:
        self._tab(title)
        shown = self._page.get_by_role("tabpanel", name=title)
        expect(shown.locator(PLOT).first).to_be_visible()
        self._keep("compare-" + title.lower().replace(" ", "-"))

    def registry(self, model: str) -> set[str]:
        """Go to the registry by the menu and to a model of it; return the aliases that it shows."""
        self._page.goto(self._found.links["the front"])
        self._page.get_by_role("link", name="Model registry").click()
        self._page.get_by_role("button", name="Try it now").click()  # praise of the very page
        self._page.get_by_role("link", name=model, exact=True).click()
        expect(self._page.get_by_role("link", name="Version 1")).to_be_visible()
        self._keep("registry")
        shown = self._page.get_by_role("status").filter(has_text="@")
        expect(shown.first).to_be_visible()
        aliases = {text.strip().removeprefix("@").strip() for text in shown.all_inner_texts()}
        self._page.get_by_role("link", name="Version 1").click()
        expect(self._page.get_by_text("Registered At").first).to_be_visible()
        self._keep("version")
        return aliases

    def description(self) -> None:
        """Open the sweep's own run and follow the first link of its description."""
        found = RUN.search(self._found.links["the front"])
        assert found is not None
        place = f"#/experiments/{found['experiment']}/runs/{found['run']}?{MODEL_TRAINING}"
        self._page.goto(f"{self._found.address}{place}")
        link = self._page.get_by_role("link", name="the front", exact=True)
        expect(link).to_be_visible()
        more = self._page.get_by_text("Show more", exact=True)
        if more.is_visible():  # a long description starts folded
            more.click()
        self._keep("sweep")
        with self._page.expect_popup() as opened:
            link.click()
        expect(_trials(opened.value).first).to_be_visible()

    def _keep(self, name: str) -> None:
        path = self._out / f"{name}.png"
        self._page.screenshot(path=path)
        self.pictures.append(path)


def _trials(page: Page) -> Locator:
    return page.get_by_role("link", name=re.compile(r"^trial \d+$"))


def main() -> None:
    """Take the pictures and name them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", help="a sweep")
    parser.add_argument("--home", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=Path("screens"))
    parser.add_argument("--port", type=int, default=5049)
    parser.add_argument(
        "--contour", nargs=3, metavar="AXIS", required=True, help="parameters or metrics that vary"
    )
    options = parser.parse_args()
    browser = find_browser()
    if browser is None:
        sys.exit(f"no browser found; install one of {', '.join(BROWSERS)}")
    options.out.mkdir(parents=True, exist_ok=True)
    with served(options.name, options.home, options.port) as found, browsing(browser) as page:
        tour = Tour(page, found, options.out)
        print(f"{tour.table()} runs on the front")
        tour.compare(options.contour)
        tour.charts()
        tour.description()
        print(f"aliases: {', '.join(sorted(tour.registry(options.name)))}")
    for path in tour.pictures:
        print(path)


if __name__ == "__main__":
    main()
