"""Imports flow one way, named modules import heavy libraries, and no file grows too long.

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
IMPORTERS = {
    "ray": (
        "sweeps.workers.trainable",
        "sweeps.search.tune_adapters",
        "sweeps.tracking.writer",
        "sweeps.run.ray_cluster",
        "sweeps.workers.ray_pool",
        "sweeps.workers.ray_probe",
        "sweeps.nodes.ray_actors",
        "sweeps.nodes.ray_machines",
    ),
    "optuna": (
        "sweeps.search.samplers",
        "sweeps.search.known_cost",
        "sweeps.ledger.ledger",
        "sweeps.ledger.journal",
        "sweeps.ledger.milestones",
        "sweeps.ledger.optuna_trials",
        "search_spaces.to_optuna",
    ),
    "optuna_dashboard": ("sweeps.tracking.optuna_ui",),
    "mlflow": ("sweeps.tracking.client", "sweeps.tracking.ui_server"),
    "sionna": (
        "kdtasks.data.",
        "kdtasks.csi_feedback.data.",
        "kdtasks.mimo_detection.link.",
        "kdtasks.sensing.street.trace_street",
    ),
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
        "sweeps.cli.options",
        "sweeps.cli.results",
    ),
    "importlib.import_module": ("kdtasks.contract.plugins",),
}

# Verbs of talk name no variable, function or test.
VAGUE = {"say", "says", "said", "told", "who", "looks", "heard", "asked"}

# Rooms of a package, floor by floor: a room may import from floors below its own, and no other.
FLOORS = {
    "kdtasks": (
        {"contract"},
        {"learning", "network"},
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
DEVICE_IMPORTERS = (
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


def allowed(module: str, importers: tuple[str, ...]) -> bool:
    return any(module.startswith(one) if one.endswith(".") else module == one for one in importers)


def test_imports_flow_one_way() -> None:
    wrong = []
    for module, path in MODULES.items():
        package = module.partition(".")[0]
        forbidden = {*PACKAGES, "tests", "benchmarks"} - {package} - MAY_IMPORT[package]
        wrong += [(module, t) for t in imports(path) if t.partition(".")[0] in forbidden]
    assert not wrong


def test_heavy_libraries_are_imported_by_named_modules_only() -> None:
    wrong = [
        (module, target)
        for module, path in MODULES.items()
        for target in imports(path)
        for library, importers in IMPORTERS.items()
        if f"{target}.".startswith(f"{library}.") and not allowed(module, importers)
    ]
    assert not wrong, "see IMPORTERS"


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


def test_rooms_import_from_the_floors_below() -> None:
    wrong = []
    for module in (name for name in MODULES if name.partition(".")[0] in FLOORS):
        room, floor = room_of(module)
        for target in our_imports(module):
            if target.partition(".")[0] == module.partition(".")[0]:
                other, below = room_of(target)
                if other != room and below >= floor:
                    wrong.append((module, target))
    assert not wrong


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


def test_files_are_short() -> None:
    """A file on the list that is short again is to be taken off it."""
    long = {
        str(path.relative_to(ROOT))
        for path in [*FILES, *OTHERS]
        if len(path.read_text(encoding="utf-8").splitlines()) > MAX_LINES
    }
    assert long == {*LONGER}


def test_nothing_is_read_that_could_run_code() -> None:
    for path in FILES:
        tops = {target.partition(".")[0] for target in imports(path)}
        assert not tops & set(UNSAFE), path
        for node in (node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call)):
            settings = {word.arg: word.value for word in node.keywords}
            if ast.unparse(node.func) == "torch.load":
                assert ast.unparse(settings["weights_only"]) == "True", f"{path}:{node.lineno}"
            if "allow_pickle" in settings:
                assert ast.unparse(settings["allow_pickle"]) == "False", f"{path}:{node.lineno}"


def test_names_are_terms_of_the_field() -> None:
    suspects = [
        path
        for path in [*FILES, *OTHERS]
        if VAGUE & {*re.split(r"[\W_]+", path.read_text(encoding="utf-8").lower())}
    ]
    private = {
        (str(path.relative_to(ROOT)), name)
        for path in suspects
        for node in ast.walk(tree_of(path))
        for name in (getattr(node, field, None) for field in ("id", "name", "arg"))
        if isinstance(name, str) and VAGUE & {*name.lower().split("_")}
    }
    assert not private, "rename them"


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


def test_one_file_names_a_device() -> None:
    """Tensors come from arrays by `as_tensor` and go back by `to_array`, on whatever device."""
    found = {
        module
        for module, path in MODULES.items()
        if module.startswith("kdtasks.") and NAMES_A_DEVICE.search(path.read_text(encoding="utf-8"))
    }
    assert found <= {*DEVICE_IMPORTERS}
