import pytest


@pytest.fixture(autouse=True)
def small_forests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Grow few trees: what a report shows of importances does not depend on how good they are."""
    monkeypatch.setattr("analysis.forest._TREES", 8)
