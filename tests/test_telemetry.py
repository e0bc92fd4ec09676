"""Libraries report nothing: what docs/security.md says is off is off, whatever one's shell says."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
TABLE = re.findall(r"^\| (.+?) \| .+ \| `(\w+)=(\w+)` \|$", PAGE, re.M)
ON = {
    "RAY_USAGE_STATS_ENABLED": "1",
    "MLFLOW_DISABLE_TELEMETRY": "false",
    "DO_NOT_TRACK": "false",
    "ORT_DISABLE_TELEMETRY": "0",
}
MLFLOW_IS_OFF_FOR_TESTS = ("CI", "PYTEST_CURRENT_TEST", "PYTEST_VERSION")
ASK = {
    "the driver": "import sweeps.tracking.client",
}


def reports(program: str, folder: Path) -> dict[str, object]:
    """Run a program where all telemetry is asked for; returns what it prints as JSON."""
    environment = {
        name: value for name, value in os.environ.items() if name not in MLFLOW_IS_OFF_FOR_TESTS
    }
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env={**environment, **ON, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_the_page_lists_what_was_found() -> None:
    assert [library for library, _, _ in TABLE] == ["Ray", "MLflow", "ONNX Runtime"]


@pytest.mark.parametrize("program", ASK.values(), ids=ASK)
def test_mlflow_reports_nothing(program: str, tmp_path: Path) -> None:
    found = reports(
        f"{program}\nimport json\nfrom mlflow.telemetry import get_telemetry_client\n"
        "from mlflow.telemetry.utils import is_telemetry_disabled\n"
        "print(json.dumps({'off': is_telemetry_disabled(), "
        "'client': get_telemetry_client() is not None}))",
        tmp_path,
    )
    assert found == {"off": True, "client": False}


def test_every_variable_of_the_page_is_set_where_a_sweep_runs(tmp_path: Path) -> None:
    found = reports(
        "import json, os, sweeps.tracking.client\n"
        "from sweeps.common.environment import engine_environment\n"
        "from ray._common.usage.usage_lib import usage_stats_enabled\n"
        "with engine_environment():\n"
        "    print(json.dumps({**os.environ, 'ray': usage_stats_enabled()}))",
        tmp_path,
    )
    assert {name: found[name] for _, name, _ in TABLE} == {name: off for _, name, off in TABLE}
    assert found["ray"] is False


def test_telemetry_of_onnx_runtime_is_off_before_its_import(tmp_path: Path) -> None:
    found = reports(
        "import json, os, sys, kdtasks\n"
        "print(json.dumps({'off': os.environ['ORT_DISABLE_TELEMETRY'], "
        "'imported': 'onnxruntime' in sys.modules}))",
        tmp_path,
    )
    assert found == {"off": "1", "imported": False}


def test_no_library_that_is_known_to_report_is_installed_unseen() -> None:
    """These would report, too: a new dependency that brings one needs a row in the page."""
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8").lower()
    reporting = "huggingface wandb posthog sentry streamlit gradio comet neptune clearml scarf"
    assert not re.findall(rf"^(?:{reporting.replace(' ', '|')}).*", pinned, re.M)
