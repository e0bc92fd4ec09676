import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdtasks.contract.errors import ConfigError
from kdtasks.contract.plugins import GROUPS, load_named
from kdtasks.contract.registry import TASKS, known_tasks, load_task
from kdtasks.contract.task import KDTask


@pytest.mark.parametrize("name", TASKS)
def test_every_shipped_task_is_found_under_its_own_name(name):
    task = load_task(name)
    assert isinstance(task, KDTask)
    assert task.name == name


def test_a_task_of_the_users_own_is_found_by_module_and_class():
    assert load_task("kdtasks.csi_feedback.task:CsiFeedback").name == "csi-feedback"


@pytest.mark.parametrize("name", ["csi", "", "os.path", ":CsiFeedback", "os:", ".csi:Task"])
def test_an_unknown_name_lists_what_there_is(name):
    with pytest.raises(ConfigError, match="csi-feedback") as error:
        load_task(name)
    assert repr(name) in str(error.value)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no_such_module:Task", "No module named 'no_such_module'"),
        ("kdtasks.contract.task:Nothing", "no attribute 'Nothing'"),
        ("os:sep", "not a subclass"),
        ("collections:OrderedDict", "not a subclass"),
        ("kdtasks.contract.task:KDTask", "lacks baselines, complete .*, cost"),
    ],
)
def test_what_is_no_task_is_refused_with_the_reason(name, reason):
    with pytest.raises(ConfigError, match=reason) as error:
        load_task(name)
    assert name in str(error.value)


@pytest.mark.parametrize("load", [load_task, partial(load_named, "method")])
@given(at=st.integers(0, 8), letter=st.sampled_from("xqz"))
def test_what_is_written_nearly_right_is_proposed(load, at, letter):
    """A letter more in the name of a module or of what is in it."""
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        Path(folder, "mine_link_task.py").write_text("class McsChoice:\n    pass\n")
        patch.syspath_prepend(folder)
        patch.delitem(sys.modules, "mine_link_task", raising=False)
        module, name = "mine_link_task", "McsChoice"
        with pytest.raises(ConfigError) as refused:
            load(f"{module[:at]}{letter}{module[at:]}:{name}")
        assert f"did you mean '{module}'?" in str(refused.value)
        assert str(Path(folder).resolve()) in str(refused.value)
        with pytest.raises(ConfigError, match=f"did you mean '{name}'"):
            load(f"{module}:{name[:at]}{letter}{name[at:]}")


@pytest.mark.usefixtures("plugin")
def test_a_library_that_a_module_lacks_is_not_looked_for_among_the_users_files():
    with pytest.raises(ConfigError) as refused:
        load_task("broken")
    assert "looked in" not in str(refused.value)


def test_a_task_that_leaves_a_field_unset_is_refused(tmp_path, monkeypatch):
    (tmp_path / "half_a_task.py").write_text(
        "from kdtasks.csi_feedback.task import CsiFeedback\n"
        "from kdtasks.contract.task import KDTask\n"
        "names = [*KDTask.__abstractmethods__, 'complete']\n"
        "methods = {n: getattr(CsiFeedback, n) for n in names}\n"
        "Half = type('Half', (KDTask,), {**methods, 'name': 'half', 'metrics': {}})\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match="does not set resource_parameters, baseline_parameters"):
        load_task("half_a_task:Half")


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """An installed package with three entry points: a task, a broken one, a stolen name."""
    facts = tmp_path / "radio_tasks-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: radio-tasks\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(
        f"[{GROUPS['task']}]\nradio = radio_tasks:Radio\nbroken = radio_tasks_broken:Task\n"
        "csi-feedback = radio_tasks:Radio\n"
    )
    (tmp_path / "radio_tasks.py").write_text(
        "from kdtasks.csi_feedback.task import CsiFeedback\n"
        "class Radio(CsiFeedback):\n    name = 'radio'\n"
    )
    (tmp_path / "radio_tasks_broken.py").write_text("import a_library_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("plugin")
def test_tasks_of_installed_packages_are_found_by_name():
    assert load_task("radio").name == "radio"
    assert {"radio", "broken", *TASKS} <= known_tasks().keys()
    assert load_task("csi-feedback").name == "csi-feedback"  # names of the project stay its own


@pytest.mark.usefixtures("plugin")
def test_a_broken_package_is_named_and_in_nobodys_way():
    with pytest.raises(ConfigError, match=r"task 'broken' cannot be imported: .*not_there"):
        load_task("broken")
    with pytest.raises(ConfigError, match="radio"):
        load_task("unknown")
    assert all(load_task(name).name == name for name in ("radio", "csi-feedback"))
