"""Plugins of installed packages are found by short names; one that fails is named, and no more."""

import json

import pytest

from kdtasks.contract.errors import ConfigError
from kdtasks.contract.plugins import GROUPS, installed, load_named
from kdtasks.contract.registry import load_task
from kdtasks.csi_feedback.task import CsiFeedback
from sweeps.cli.doctor import check_plugins
from sweeps.cli.main import main

ENTRIES = {
    "task": {"radio": "radio_parts:Radio", "half": "radio_parts:distance"},
    "method": {
        "distance": "radio_parts:distance",
        "vanilla": "radio_parts:distance",
        "broken": "radio_broken:loss",
        "odd": "radio_syntax:loss",
        "number": "radio_parts:number",
    },
    "scenario": {"rays": "radio_parts:rays", "table": "radio_parts:table"},
}
PARTS = """
from kdtasks.csi_feedback.task import CsiFeedback
from own_parts import distance, rays
number = table = 3
class Radio(CsiFeedback):
    name = "radio"
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package with plugins of every kind, some of them broken."""
    facts = tmp_path / "radio_parts-1.5.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: radio-parts\nVersion: 1.5\n")
    lines = []
    for kind, entries in ENTRIES.items():
        lines += [f"[{GROUPS[kind]}]", *(f"{name} = {at}" for name, at in entries.items())]
    (facts / "entry_points.txt").write_text("\n".join(lines))
    (tmp_path / "radio_parts.py").write_text(PARTS)
    (tmp_path / "radio_broken.py").write_text("raise RuntimeError('no licence')")
    (tmp_path / "radio_syntax.py").write_text("def loss(student, teacher)\n    return 0")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("package")
def test_short_names_stand_for_losses_and_sources():
    params = CsiFeedback().complete({"method": "distance", "scenario": "rays"})
    assert (params["method"], params["scenario"]) == ("distance", "rays")
    assert load_task("radio").name == "radio"
    assert {one.package for one in installed() if one.target.startswith("radio_")} == {
        "radio-parts 1.5"
    }


@pytest.mark.usefixtures("package")
def test_the_projects_names_stay_its_own():
    params = CsiFeedback().complete({"method": "vanilla"})
    assert CsiFeedback().teacher_fingerprint(params) is None


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("broken", "method 'broken' cannot be imported: RuntimeError: no licence"),
        ("odd", r"method 'odd' cannot be imported: SyntaxError: expected ':' \(radio_syntax.py"),
        ("unknown", "no method 'unknown'; there are broken, distance, number, odd, vanilla, or"),
    ],
)
def test_a_broken_plugin_is_named_only_where_it_is_used(name, reason):
    with pytest.raises(ConfigError, match=reason):
        load_named("method", name)
    assert CsiFeedback().complete({"method": "distance"})["method"] == "distance"


@pytest.mark.usefixtures("package")
def test_the_doctor_names_broken_plugins_and_their_packages():
    mine = [plugin for plugin in installed() if "radio-parts" in plugin.package]
    found = {finding.name: finding for finding in check_plugins(mine)}
    assert {name for name, one in found.items() if one.state == "good"} == {
        "task radio",
        "method distance",
        "scenario rays",
    }
    assert not any(one.state == "bad" for one in found.values())  # sweeps can run all the same
    assert "no licence" in found["method broken"].found
    assert "uninstall radio-parts 1.5" in found["method broken"].fix
    assert "is a name of the project" in found["method vanilla"].found
    assert "not a subclass" in found["task half"].found
    assert "not a function" in found["method number"].found
    assert "not a function" in found["scenario table"].found
    twice = check_plugins([one for one in mine if one.name == "distance"] * 2)
    assert {one.state for one in twice} == {"fair"}
    assert check_plugins([])[0].state == "good"


@pytest.mark.usefixtures("package")
def test_commands_work_beside_broken_plugins(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["studies", "--json"])
    assert not stop.value.code
    assert "csi-feedback" in json.loads(capsys.readouterr().out)
