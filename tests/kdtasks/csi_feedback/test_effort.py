import pytest
from csi_examples import METHODS, trained_student

from kdtasks.contract.errors import ConfigError


def student(data, teacher, method, **changes):
    taught = None if method == "vanilla" else teacher
    if method == "sequential":  # whose teacher has the student's own encoder
        changes = {"encoder": "crnet", **changes}
    return trained_student(data, taught, method=method, **changes)


@pytest.mark.parametrize("method", METHODS)
def test_every_stage_ends_at_a_plateau_or_at_its_cap(method, tiny_data, tiny_teacher):
    stages = 2 if method in ("encoder-kd", "ip-encoder-kd") else 1
    for gain, cap, count, capped in ((100.0, 9, 4, 0.0), (0.0, 2, 2, 1.0)):
        reports, outcome = student(
            tiny_data,
            tiny_teacher,
            method,
            effort="plateau",
            plateau_epochs=1,
            plateau_gain=gain,
            plateau_cap=cap,
        )
        assert len(reports) == outcome.metrics["train_epochs"] == stages * count
        assert outcome.metrics["train_capped"] == capped
        assert [report.epoch for report in reports] == list(range(1, len(reports) + 1))


def test_too_little_computation_is_refused(tiny_data):
    with pytest.raises(ConfigError, match=r"effort_gflop=0\.001 .* one epoch .* raise it"):
        student(tiny_data, None, "vanilla", effort="gflop", effort_gflop=1e-3)
