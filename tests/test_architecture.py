"""Imports flow one way, each heavy dependency has its doors, and no file grows too long.

The rules are those of ARCHITECTURE.md. Imports inside functions and under TYPE_CHECKING count: a
lazy import is still an arrow.
"""

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("kdtasks", "search_spaces", "sweeps", "analysis")
FILES = sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
OTHERS = sorted(path for name in ("tests", "benchmarks") for path in (ROOT / name).rglob("*.py"))

MAY_IMPORT = {
    "kdtasks": set(),
    "search_spaces": set(),
    "analysis": {"search_spaces"},
    "sweeps": {"kdtasks", "search_spaces", "analysis"},
}

# The only modules, or packages with a dot at the end, that may import a library.
DOORS = {
    "ray": (
        "sweeps.trial",
        "sweeps.search",
        "sweeps.schedule",
        "sweeps.tracking",
        "sweeps.ray_cluster",
        "sweeps.ray_pool",
        "sweeps.ray_probe",
        "sweeps.ray_search",
        "sweeps.nodes.ray_actors",
    ),
    "optuna": (
        "sweeps.samplers",
        "sweeps.ledger",
        "sweeps.journal",
        "sweeps.optuna_trials",
        "search_spaces.to_optuna",
    ),
    "mlflow": ("sweeps.mlflow_client", "sweeps.ui_server", "analysis.mlflow_runs"),
    "sionna": ("kdtasks.scenarios.",),
    "h5py": ("kdtasks.scenarios.",),
    "scipy": ("kdtasks.scenarios.", "analysis."),
    "PIL": ("kdtasks.scenarios.",),
    "torch": ("kdtasks.",),
    "moocore": ("analysis.pareto", "analysis.attainment"),
    "onnx": ("kdtasks.export",),
    "onnxruntime": ("kdtasks.export",),
    "pyarrow.fs": ("sweeps.storage",),
    "typer": (
        "sweeps.cli",
        "sweeps.cli_data",
        "sweeps.cli_look",
        "sweeps.cli_options",
        "sweeps.cli_results",
    ),
    "importlib.import_module": ("kdtasks.plugins",),
}

MAX_LINES = 350
# Files that may be longer, each with the reason.
LONGER: dict[str, str] = {}

# Formats that run code when they are read.
UNSAFE = ("pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal")


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in FILES}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[str]:
    """Yield what a file imports; ``from a import b`` is ``a.b``, whatever ``b`` is."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: use absolute imports"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def our_imports(module: str) -> set[str]:
    """Return the modules of ours that a module imports, without the packages around them."""
    found = set()
    for target in imports(MODULES[module]):
        parent = target.rpartition(".")[0]
        found.update(name for name in (target, parent) if name in MODULES)
        if target in MODULES:
            found.discard(parent)
    return found - {module}


def loaded_with(module: str) -> set[str]:
    """Return every module of ours that is loaded when ``module`` is, packages included."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen or name not in MODULES:
            continue
        seen.add(name)
        waiting += [*our_imports(name), name.rpartition(".")[0]]
    return seen


def allowed(module: str, doors: tuple[str, ...]) -> bool:
    return any(module.startswith(door) if door.endswith(".") else module == door for door in doors)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_flow_one_way(path: Path) -> None:
    package = name_of(path).partition(".")[0]
    tops = {target.partition(".")[0] for target in imports(path)}
    wrong = (tops & set(PACKAGES)) - {package} - MAY_IMPORT[package]
    assert not wrong, f"{package} must not import {sorted(wrong)}"
    assert not tops & {"tests", "benchmarks"}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_libraries_come_in_through_their_doors(path: Path) -> None:
    module = name_of(path)
    for target in imports(path):
        for library, doors in DOORS.items():
            if target == library or target.startswith(f"{library}."):
                assert allowed(module, doors), f"{module} must not import {library}; see {doors}"


def test_no_file_imports_itself_through_others() -> None:
    try:
        TopologicalSorter({module: our_imports(module) for module in MODULES}).prepare()
    except CycleError as error:
        pytest.fail(f"import cycle: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize("path", [*FILES, *OTHERS], ids=lambda path: str(path.relative_to(ROOT)))
def test_files_are_short(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    name = str(path.relative_to(ROOT))
    if name in LONGER:
        assert lines > MAX_LINES, f"{name} is short again: take it off the list"
    else:
        assert lines <= MAX_LINES, f"{name} has {lines} lines: split it, or list it with a reason"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_is_read_that_could_run_code(path: Path) -> None:
    tops = {target.partition(".")[0] for target in imports(path)}
    assert not tops & set(UNSAFE)
    for node in ast.walk(tree_of(path)):
        if not isinstance(node, ast.Call):
            continue
        settings = {word.arg: ast.unparse(word.value) for word in node.keywords}
        if ast.unparse(node.func) == "torch.load":
            assert settings.get("weights_only") == "True", f"{path}:{node.lineno}"
        assert settings.get("allow_pickle", "False") == "False", f"{path}:{node.lineno}"


def test_neither_half_of_the_ip_protecting_method_knows_the_others_network() -> None:
    method = "kdtasks.methods.ip_encoder_kd"
    equipment, station = loaded_with(f"{method}.ue"), loaded_with(f"{method}.bs")
    assert not {name for name in equipment if name.startswith("kdtasks.models.crnet_")}
    assert "kdtasks.models.light_encoder" not in station


def test_the_checks_above_see_imports_inside_functions() -> None:
    inside = "kdtasks.scenarios.tr38901"
    assert any(target.startswith("sionna.") for target in imports(MODULES[inside]))
    top_level = {
        ast.unparse(node)
        for node in tree_of(MODULES[inside]).body
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert not any(line.startswith(("import sionna", "from sionna")) for line in top_level)
