"""The one line of an error names the user's own code, whoever raised it."""

import textwrap

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kdtasks.contract import error_text as raised_module
from kdtasks.contract.error_text import LONGEST, located, one_line, own_place, printable, trace_of
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.plugins import load_named
from kdtasks.learning.training import Schedule, fit


@pytest.fixture(autouse=True)
def _nothing_is_named(monkeypatch):
    """Tests before these may have named a function of torch as their own."""
    monkeypatch.setattr("kdtasks.contract.error_text.named", set())
    monkeypatch.setattr("kdtasks.contract.plugins.named", raised_module.named)


def raised(work):
    with pytest.raises(BaseException) as found:  # noqa: PT011 - any
        work()
    return found.value


def in_torch():
    torch.nn.Linear(2, 3)(torch.zeros(4, 5))


def in_numpy():
    np.linalg.inv(np.zeros((2, 3)))


def in_our_training():
    def objective(batch):
        return {"total": torch.nn.functional.mse_loss(torch.zeros(2), torch.zeros(3, 3), batch)}

    schedule = Schedule(epochs=1, batch_size=2, learning_rate=0.1)
    order = torch.Generator()
    list(fit([torch.nn.Linear(1, 1)], objective, num_samples=4, schedule=schedule, generator=order))


def chained():
    try:
        in_torch()
    except RuntimeError as error:
        raise KeyError("network") from error


@pytest.mark.parametrize(
    ("work", "function"),
    [
        (in_torch, "in_torch"),
        (in_numpy, "in_numpy"),
        (in_our_training, "objective"),
        (chained, "chained"),
    ],
)
def test_the_place_is_the_innermost_line_of_the_users_own(work, function):
    error = raised(work)
    assert own_place(error).startswith("test_error_text.py, line ")
    assert own_place(error).endswith(f", in {function}")
    assert located(error) == f"{one_line(error)} ({own_place(error)})"


def test_an_error_of_ours_alone_has_no_place():
    error = ConfigError("epochs must be positive")
    assert own_place(error) == ""
    assert located(error) == "ConfigError: epochs must be positive"


MODULES = {
    "raised_syntax": ("def f(:\n    pass\n", "raised_syntax.py, line 1"),
    "raised_import": ("import numpy\nimport no_such_library\n", "raised_import.py, line 2"),
    "raised_exit": ("import sys\n\n\nsys.exit('no licence')\n", "raised_exit.py, line 4"),
}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_that_cannot_be_imported_is_named_with_its_line(name, tmp_path, monkeypatch):
    text, place = MODULES[name]
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match=rf"cannot be imported: .*\({place}") as error:
        load_named("task", f"{name}:Task")
    assert str(error.value).count(place) == 1


def test_code_of_an_installed_package_is_the_users_own_if_a_study_names_it(tmp_path, monkeypatch):
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "installed_radio.py").write_text(
        textwrap.dedent("""
            class Task:
                def train(self):
                    raise ValueError("no signal")
        """)
    )
    monkeypatch.syspath_prepend(str(folder))
    task = load_named("task", "installed_radio:Task")()
    assert own_place(raised(task.train)) == "installed_radio.py, line 4, in train"


@given(st.text())
def test_no_error_steers_a_terminal_or_has_several_lines(text):
    error = RuntimeError(text)
    assert one_line(error).isprintable()
    assert all(one.isprintable() or one == "\n" for one in trace_of(error))


def test_colours_are_taken_out_whole():
    assert printable("\x1b[31mred\x1b[0m\r\x00\u202e") == "red   "


def test_an_error_that_cannot_describe_itself_has_its_kind():
    class MuteError(Exception):
        def __str__(self):
            raise ValueError

    assert one_line(MuteError()) == "MuteError"


def test_a_deep_recursion_is_shortened():
    def even(number):
        return odd(number)

    def odd(number):
        return even(number)

    error = raised(lambda: even(1))
    assert len(trace_of(error)) < LONGEST + 100
    assert "in even" in own_place(error) or "in odd" in own_place(error)
