"""Imports flow one way, each heavy dependency has its doors, and no file grows too long.

The rules are those of ARCHITECTURE.md. Imports inside functions and under TYPE_CHECKING count: a
lazy import is still an arrow.
"""

import ast
import re
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
        "sweeps.workers.trainable",
        "sweeps.search.tune_adapters",
        "sweeps.tracking.writer",
        "sweeps.run.ray_cluster",
        "sweeps.workers.ray_pool",
        "sweeps.workers.ray_probe",
        "sweeps.search.ray_search",
        "sweeps.nodes.ray_actors",
    ),
    "optuna": (
        "sweeps.search.samplers",
        "sweeps.search.known_cost",
        "sweeps.ledger.ledger",
        "sweeps.ledger.journal",
        "sweeps.ledger.optuna_trials",
        "search_spaces.to_optuna",
    ),
    "optuna_dashboard": ("sweeps.tracking.optuna_ui",),
    "mlflow": ("sweeps.tracking.client", "sweeps.tracking.ui_server", "analysis.mlflow_runs"),
    "sionna": ("kdtasks.data.", "kdtasks.csi_feedback.data.", "kdtasks.mimo_detection.link."),
    "h5py": ("kdtasks.data.",),
    "scipy": ("kdtasks.data.", "kdtasks.sensing.", "kdtasks.csi_feedback.data.", "analysis."),
    "PIL": ("kdtasks.sensing.deepsense.",),
    "torch": ("kdtasks.",),
    "moocore": ("analysis.pareto", "analysis.attainment"),
    "onnx": ("kdtasks.learning.onnx_export",),
    "onnxruntime": ("kdtasks.learning.onnx_export",),
    "pyarrow.fs": ("sweeps.mirror.storage",),
    "typer": (
        "sweeps.cli.main",
        "sweeps.cli.data",
        "sweeps.cli.guard",
        "sweeps.cli.checks",
        "sweeps.cli.options",
        "sweeps.cli.results",
    ),
    "importlib.import_module": ("kdtasks.contract.plugins",),
}

# Verbs of talk name no variable, function or test; kdtasks is to follow.
NAMED = [*FILES, *OTHERS]
VAGUE = {"say", "says", "said", "told", "who", "looks", "heard", "asked"}

# Rooms of a package, floor by floor: a room may import from floors below its own, and no other.
FLOORS = {
    "kdtasks": (
        {"contract"},
        {"learning"},
        {"data"},
        {"csi_feedback", "distillation", "mimo_detection", "sensing"},
        {"beam_tracking", "lidar_beam", "site_tasks"},
    ),
    "sweeps": (
        {"common"},
        {"ledger", "nodes"},
        {"mirror", "progress", "workers"},
        {"tracking"},
        {"plan", "export"},
        {"search"},
        {"run"},
        {"cli"},
    ),
}

# What may name a device: the one file, and what hands tensors of the CPU to another library.
DEVICE_DOORS = (
    "kdtasks.learning.device",
    "kdtasks.learning.onnx_export",
    "kdtasks.data.sionna_session",
    "kdtasks.csi_feedback.data.tr38901",
)

MAX_LINES = 500
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


def room_of(module: str) -> tuple[str, int]:
    """Return a module's room, and its floor; the package itself is its ground."""
    package, _, rest = module.partition(".")
    room = rest.partition(".")[0]
    floors = [floor for floor, rooms in enumerate(FLOORS[package]) if room in rooms]
    assert floors or not room, f"{module}: name its room and floor in FLOORS"
    return room, floors[0] if room else -1


@pytest.mark.parametrize("module", [name for name in MODULES if name.partition(".")[0] in FLOORS])
def test_rooms_import_from_the_floors_below(module: str) -> None:
    room, floor = room_of(module)
    for target in our_imports(module):
        if target.partition(".")[0] == module.partition(".")[0]:
            other, below = room_of(target)
            assert other == room or below < floor, f"{module} must not import {target}"


def test_no_folder_imports_itself_through_others() -> None:
    folders: dict[str, set[str]] = {}
    for module in (name for name in MODULES if name.partition(".")[0] in FLOORS):
        home = module.rpartition(".")[0]
        homes = {target.rpartition(".")[0] for target in our_imports(module) - {home}}
        folders.setdefault(home, set()).update(homes - {home})
    try:
        TopologicalSorter(folders).prepare()
    except CycleError as error:
        pytest.fail(f"cycle of folders: {' -> '.join(error.args[1])}")


def test_no_file_repeats_the_name_of_its_folder() -> None:
    doubled = [name for name in MODULES if _repeats(*name.split(".")[-2:])]
    assert not doubled


def _repeats(folder: str, name: str = "") -> bool:
    """Whether a name begins with its folder's; a file that has just that name is its main one."""
    return name.startswith(f"{folder}_")


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


@pytest.mark.parametrize("path", NAMED, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_are_terms_of_the_field(path: Path) -> None:
    fields = [getattr(n, f, None) for n in ast.walk(tree_of(path)) for f in ("id", "name", "arg")]
    names = {name for name in fields if isinstance(name, str)}
    private = {name for name in names if VAGUE & set(name.lower().split("_"))}
    assert not private, f"rename {sorted(private)}"


def test_neither_half_of_the_ip_protecting_method_knows_the_others_network() -> None:
    method = "kdtasks.csi_feedback.methods.ip_encoder_kd"
    equipment, station = loaded_with(f"{method}.ue"), loaded_with(f"{method}.bs")
    assert "kdtasks.csi_feedback.models.crnet" not in equipment
    assert "kdtasks.csi_feedback.models.light_encoder" not in station


def test_the_checks_above_see_imports_inside_functions() -> None:
    inside = "kdtasks.csi_feedback.data.tr38901"
    assert any(target.startswith("sionna.") for target in imports(MODULES[inside]))
    top_level = {
        ast.unparse(node)
        for node in tree_of(MODULES[inside]).body
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert not any(line.startswith(("import sionna", "from sionna")) for line in top_level)


NAMES_A_DEVICE = re.compile(r"cuda|\.cpu\(|\bdevice=|set_default_device|torch\.device|\.numpy\(")


@pytest.mark.parametrize(
    "path", [p for p in FILES if name_of(p).startswith("kdtasks.")], ids=name_of
)
def test_one_file_names_a_device(path: Path) -> None:
    """Tensors come from arrays by `as_tensor` and go back by `to_array`, on whatever device."""
    if name_of(path) not in DEVICE_DOORS:
        assert not NAMES_A_DEVICE.findall(path.read_text(encoding="utf-8"))
