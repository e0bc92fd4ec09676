"""Nobody else on a machine gets into the Ray of a sweep, nor finds keys in what it writes."""

import os
import stat

import pytest
import ray
from ray.tune.execution import class_cache

from sweeps.search import tune_adapters
from sweeps.workers import ray_safety
from sweeps.workers.ray_safety import dangers, keep_token_private

assert tune_adapters  # what uses Tune


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_a_token_is_made_for_its_user_alone_whatever_the_umask(home, umask):
    before = os.umask(umask)
    try:
        keep_token_private()
    finally:
        os.umask(before)
    file = home / ".ray" / "auth_token"
    assert (mode(file), mode(file.parent)) == (0o600, 0o700)
    assert len(file.read_text()) == 64
    keep_token_private()
    assert len(file.read_text()) == 64


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_token_that_others_can_read_is_closed_and_stays(home, monkeypatch, elsewhere):
    file = home / "token" if elsewhere else home / ".ray" / "auth_token"
    if elsewhere:
        monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(file))
    file.parent.mkdir(exist_ok=True)
    file.write_text("known")
    file.chmod(0o644)
    keep_token_private()
    assert (mode(file), file.read_text()) == (0o600, "known")


def test_a_token_in_a_variable_needs_no_file(home, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    keep_token_private()
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("value", ["disabled", "DISABLED", "", "none"])
def test_disabled_authentication_is_reported(value):
    (words,) = dangers({"RAY_AUTH_MODE": value})
    assert f"RAY_AUTH_MODE={value}" in words
    assert "unset RAY_AUTH_MODE" in words


@pytest.mark.parametrize(
    "environment", [{}, {"RAY_AUTH_MODE": "token"}, {"RAY_AUTH_MODE": "Token"}]
)
def test_authentication_that_is_on_is_no_danger(environment):
    assert list(dangers(environment)) == []


def test_no_key_is_handed_to_workers_where_ray_logs_it(monkeypatch):
    keys = [f"AWS_{name}" for name in ("SECRET_ACCESS_KEY", "ACCESS_KEY_ID", "SESSION_TOKEN")]
    for name in (*keys, "GOOGLE_APPLICATION_CREDENTIALS", "AZURE_STORAGE_KEY"):
        monkeypatch.setenv(name, "planted-secret")
    monkeypatch.setenv("RAY_CHDIR_TO_TRIAL_DIR", "0")
    given = []
    monkeypatch.setattr(ray, "remote", lambda **options: given.append(options) or (lambda one: one))
    class_cache._ActorClassCache().get(object)
    assert "planted-secret" not in str(given)
    assert given[0]["runtime_env"]["env_vars"]["RAY_CHDIR_TO_TRIAL_DIR"] == "0"
    assert ray_safety.harmless({"AWS_X", "HF_TOKEN", "RAY_A"}) == {"RAY_A"}
