"""The pages in docs are what works: their files are written as they stand, their commands typed."""

import re
import runpy
import shlex
from contextlib import suppress
from itertools import takewhile
from pathlib import Path

import pytest
import typer.main
import yaml

import kdsweep as kd
from sweeps.cli.main import app, main
from sweeps.plan.contract import check_contract
from sweeps.plan.preflight import check_study

DOCS = Path(__file__).resolve().parents[1] / "docs"
BLOCK = re.compile(r"^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.M | re.S)
NAMED = re.compile(r"# (?P<name>[\w-]+\.(?:py|yaml|toml))\n")
PAGES = [
    "automation",
    "own-data",
    "own-network",
    "own-loss",
    "own-task",
    "own-study",
    "two-networks",
]
SYSTEMS = [f"systems/{page.stem}" for page in DOCS.glob("systems/*.md") if page.stem != "index"]


class StartedError(BaseException):
    """Thrown where Ray would be started, past what tells errors of users: all before is done."""


def stands_in(study, **_options):
    """Do what `run_study` does before Ray, and read the user's own files."""
    plan = check_study(study)
    need = plan.needs[0]
    if need.params.get("data_path"):
        cache = Path("cache")
        data = plan.task.load_scenario(need.params, cache_dir=cache, progress=lambda *_: None)
        assert data.provenance["sha256"]
    raise StartedError


@pytest.fixture
def folder(own_folder, monkeypatch):
    """An empty folder that a reader works in."""
    monkeypatch.syspath_prepend(str(own_folder))
    monkeypatch.setattr("sweeps.run.runner.run_study", stands_in)
    return own_folder


def commands(page):
    """Yield the lines of a page's shell blocks, after its files were written."""
    blocks = list(BLOCK.finditer((DOCS / f"{page}.md").read_text(encoding="utf-8")))
    for block in blocks:
        if named := NAMED.match(block["text"]):
            Path(named["name"]).write_text(block["text"], encoding="utf-8")
    for block in blocks:
        if block["kind"] == "sh":
            yield from block["text"].splitlines()


def typed(command):
    """Carry out a command as a shell would; return its exit code."""
    words = shlex.split(command)
    if words[0] == "python":
        with suppress(StartedError):
            runpy.run_path(words[1], run_name="__main__")
        return 0
    assert words[0] == "kdsweep", command
    try:
        main(["--debug", *words[1:]])  # else it would be told as an error of the page's own code
    except StartedError:
        return 0
    except SystemExit as end:
        return end.code


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_a_page_works_as_written(page, folder, capsys):
    done = 0
    for command in commands(page):
        assert typed(command) == 0, f"{command}\n{capsys.readouterr().err}"
        done += 1
    assert done


@pytest.mark.parametrize("page", SYSTEMS)
def test_a_system_page_names_shipped_studies(page, folder, monkeypatch):
    started = []

    def begins(study, **_options):
        started.append(study.name)
        raise StartedError

    monkeypatch.setattr("sweeps.run.runner.run_study", begins)
    named = list(commands(page))
    assert [typed(command) for command in named] == [0] * len(named)
    assert started == [shlex.split(command)[2] for command in named] != []


def test_the_contract_of_the_page_is_three_lines(folder):
    assert list(commands("own-task"))
    # a folder of its own: from the shared one, it would first delete what earlier runs left there
    options = ["-q", "-p", "no:cacheprovider", "--basetemp", str(folder / "tmp")]
    assert pytest.main([*options, "test_path_loss.py"]) == 0


@pytest.mark.parametrize(
    ("topology", "own"),
    [
        ("none", {}),
        ("centralized", {"uploads": 1}),
        ("decentralized", {}),
        ("semi-centralized", {"anchor_weight": 0.5, "rehearsal_share": 0.5}),
        ("mutual", {"anchor_weight": 0.5}),
        ("self", {"anchor_weight": 0.5}),
    ],
)
def test_labels_and_outputs_are_enough_for_every_topology_without_a_teacher(folder, topology, own):
    assert list(commands("own-task"))
    params = {"topology": topology, **own}
    found = check_contract("path_loss_edges:PathLossAtEdges", params, folder)
    assert [one for one in found if one.broken] == []


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.stem)
def test_what_a_page_points_to_is_there(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", text):
        assert (page.parent / target).exists(), f"{page.name} points to {target}"
    for path in re.findall(r"`((?:kdtasks|search_spaces|sweeps|analysis|tests)/[\w/.*-]+)`", text):
        assert list(DOCS.parent.glob(path.rstrip("/"))), f"{page.name} names {path}"


@pytest.mark.parametrize(
    "page", [DOCS.parent / "README.md", *sorted(DOCS.rglob("*.md"))], ids=lambda page: page.stem
)
def test_commands_of_a_page_are_accepted_by_the_command_line(page):
    known = typer.main.get_command(app).commands
    for block in BLOCK.finditer(page.read_text(encoding="utf-8").replace("\\\n", " ")):
        for line in block["text"].splitlines() if block["kind"] in ("sh", "bash") else ():
            words = iter(w for w in shlex.split(line, comments=True) if w != "--debug")
            if not any(word.rpartition("/")[2] == "kdsweep" for word in words):
                continue
            command, *given = takewhile(lambda word: word not in ("|", ">", "&&"), words)
            assert known[command].make_context(command, given), line


def test_every_page_is_on_the_site_and_every_public_name_on_its_page():
    chapters = yaml.safe_load((DOCS / "_toc.yml").read_text())["subtrees"]
    entries = [entry for chapter in chapters for entry in chapter["entries"]]
    entries += [inner for entry in entries for inner in entry.get("entries", ())]
    patterns = [f"{entry.get('file') or entry['glob']}.md" for entry in entries]
    listed = {page for pattern in patterns for page in DOCS.glob(pattern)}
    assert {*DOCS.rglob("*.md")} - listed == {DOCS / "index.md"}
    reference = (DOCS / "reference" / "python.md").read_text()
    assert {*kd.__all__} - {*re.findall(r"^\.\. auto\w+:: (\w+)", reference, re.M)} == set()
