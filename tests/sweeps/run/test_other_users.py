"""What a second user of the machine can do while a sweep runs, and what it leaves behind."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from toy_study import toy_study

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

ROOT = Path(__file__).resolve().parents[3]
SETPRIV = shutil.which("setpriv")
NOBODY = ("--reuid=65534", "--regid=65534", "--clear-groups")

PLANTED = "planted-7f3a91"
NAMES = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "GOOGLE_API_KEY"),
    *("GOOGLE_APPLICATION_CREDENTIALS", "AZURE_STORAGE_KEY", "AZURE_CLIENT_SECRET", "HF_TOKEN"),
    *("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "DATABRICKS_TOKEN", "WANDB_API_KEY"),
    *("DATABASE_URL", "KUBE_TOKEN", "GITHUB_TOKEN", "OPENAI_API_KEY", "PGPASSWORD"),
)

# Keeps a copy of what Ray has written when its folder is about to be removed.
RUN = """
import os, shutil, sys
from sweeps.workers import ray_safety
from sweeps.cli.main import main
remove = ray_safety._remove

def keep(folder):
    for path, _, files in os.walk(folder):
        for name in files:
            file = os.path.join(path, name)
            if os.path.isfile(file):
                copy = sys.argv[1] + os.path.join(path, name)
                os.makedirs(os.path.dirname(copy), exist_ok=True)
                shutil.copyfile(file, copy)
    remove(folder)

ray_safety._remove = keep
main(sys.argv[2:])
"""


def as_other(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a script of the shell as another user."""
    return subprocess.run(
        [str(SETPRIV), *NOBODY, "sh", "-c", script, "sh", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )


def waited_for(folder: Path, pattern: str, process: subprocess.Popen[str]) -> Path:
    for _ in range(1200):
        if found := next(folder.glob(pattern), None):
            return found
        assert process.poll() is None, "the sweep ended early"
        time.sleep(0.05)
    raise AssertionError(f"no {pattern} in {folder}")


def seen_by_other(place: Path, process: subprocess.Popen[str]) -> dict[str, bool]:
    """Return what another user gets done while a sweep runs."""
    session = waited_for(place, "tmp/kdsweep-ray-*/r/session_*/sockets/raylet", process).parents[1]
    ray, home = session.parents[1], place / "home"
    token = place / "user" / ".ray" / "auth_token"
    tries = {
        "list the place": ("ls $1", place),
        "list Ray's folder": ("ls $1", ray),
        "list Ray's logs": ("ls $1", session / "logs"),
        "replace a socket": ("mv $1/raylet $1/x", session / "sockets"),
        "read Ray's token": ("cat $1", token),
        "list the home": ("ls $1", home),
        "write into the home": ("touch $1/x", home),
        "write into the sweep": ("touch $1/x", home / "toy"),
        "write the ledger": ("echo x >> $1", home / "toy" / "journal.log"),
        "plant a teacher": ("mkdir $1/x", home / "cache" / "teachers"),
    }
    return {name: as_other(*words).returncode == 0 for name, words in tries.items()}


@pytest.fixture(scope="module")
def swept() -> Iterator[tuple[Path, dict[str, bool], str]]:
    """A place that all may enter, where a sweep was run under umask 000 and with secrets.

    Beside it what another user got done meanwhile (nothing was tried without setpriv, or if we are
    not root), and what was printed.
    """
    place = Path(tempfile.mkdtemp(prefix="kt", dir="/tmp"))
    place.chmod(0o755)
    for name in ("user", "tmp", "kept", "home"):
        (place / name).mkdir(mode=0o755)
    study = toy_study(search={"sampler": "random", "points": [{"flaw": "raise"}]})
    (place / "toy.yaml").write_text(study.text)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("XDG_")},
        **{name: f"{PLANTED}-{name}" for name in NAMES},
        "HOME": str(place / "user"),
        "RAY_TMPDIR": str(place / "tmp"),
        "PYTHONPATH": f"{ROOT}:{Path(__file__).parents[1]}",
        "TMPDIR": str(place / "tmp"),
    }
    options = ["--home", str(place / "home"), "--trials", "2", "--slots", "1"]
    seen: dict[str, bool] = {}
    try:
        with subprocess.Popen(
            [sys.executable, "-c", RUN, str(place / "kept"), "run", "toy.yaml", *options],
            cwd=place,
            env=environment,
            umask=0,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            if SETPRIV and os.getuid() == 0:
                seen = seen_by_other(place, process)
            printed = process.communicate()[0]
        assert process.returncode == 0, printed
        yield place, seen, printed
    finally:
        shutil.rmtree(place)


def test_another_user_sees_and_writes_nothing(swept):
    _, seen, _ = swept
    if not seen:
        pytest.skip("needs root and setpriv")
    assert [name for name, done in seen.items() if done] == ["list the place", "list the home"]


def test_nothing_that_was_written_can_be_written_to_by_all(swept):
    place, _, _ = swept
    written = [path for name in ("home", "user") for path in (place / name).rglob("*")]
    assert len(written) > 30
    assert [
        path for path in written if path.lstat().st_mode & 0o002 and not path.is_symlink()
    ] == []
    assert list((place / "tmp").iterdir()) == []
    assert {path.name for path in place.iterdir()} == {"user", "tmp", "kept", "home", "toy.yaml"}


def test_no_secret_of_the_environment_is_in_anything_that_was_written(swept):
    place, _, printed = swept
    files = [path for path in place.rglob("*") if path.is_file()]
    names = {path.name for path in files}
    assert names >= {"mlflow.db", "journal.log", "report.html", "runtime_env_agent.log"}
    assert [path for path in files if PLANTED.encode() in path.read_bytes()] == []
    assert PLANTED not in printed
