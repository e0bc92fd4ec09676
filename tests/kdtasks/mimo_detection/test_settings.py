import pytest
from hypothesis import given
from hypothesis import strategies as st
from mimo_trials import TASK, tiny

from kdtasks.contract.errors import ConfigError
from kdtasks.contract.params import fingerprint
from kdtasks.mimo_detection.settings import resolve


@pytest.mark.parametrize(
    "changes",
    [
        {"stream": "2x2 qpsk rayleigh"},
        {"collective_width": 9},
        {"collective_depth": 4},
        {"first_width": 3},
        {"stream_steps": 100},
        {"stream_rate": 1e-2},
        {"stream_later_rate": 1e-2},
        {"stream_batch": 17},
        {"replay_share": 0.1},
        {"noise_blind": True},
        {"gauge": "lmmse"},
        {"snr_low_db": 3.0},
        {"teacher_seed": 1},
        {"target": "2x2 16qam kronecker-0.6"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_makes_another_teacher_has_another_fingerprint(changes):
    assert changes.keys() <= TASK.resource_parameters
    before = TASK.teacher_fingerprint(tiny(method="kd"))
    assert TASK.teacher_fingerprint(tiny(method="kd", **changes)) != before


def test_one_link_has_one_spelling():
    one = TASK.complete(tiny(method="kd", stream=" 2X2 QPSK rayleigh,4x4 qpsk Kronecker-0.50"))
    other = TASK.complete(tiny(method="kd", stream="2x2 qpsk rayleigh, 4x4 qpsk kronecker-0.5"))
    assert fingerprint(one) == fingerprint(other)


def test_a_segment_ends_at_the_top():
    completed = TASK.complete({"method": "learngene", "gene_start": 6, "gene_length": 9})
    assert completed["gene_length"] == 2
    # That individual has the collective's head.
    assert "head_width" not in completed
    assert "head_width" in TASK.complete({"method": "learngene", "gene_start": 5})


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"gene_start": 1}, "gene_start=1 has no effect here: .* learngene and learngene-kd"),
        (
            {"method": "learngene", "gene_rule": "weight-change", "gene_start": 1},
            "gene_start=1 .* gene_rule position",
        ),
        ({"method": "learngene", "alpha": 0.5}, "alpha=0.5 .* methods kd and learngene-kd"),
        ({"method": "kd", "treatment": "frozen"}, "treatment='frozen' .* learngene"),
        ({"method": "learngene", "ewc_weight": 1.0}, "ewc_weight=1.0 .* treatment ewc"),
        ({"method": "learngene", "gene_start": 8}, "gene_start=8 must be below 8"),
        (
            {"method": "learngene", "gene_start": 1, "gene_length": 3, "depth": 2},
            "depth=2: a segment of 3 units from unit 1 on has 3 blocks .* shorten gene_length",
        ),
        (
            {"method": "learngene", "family": "unrolled", "width": 16},
            "width=16 must be collective_width=32 with family unrolled",
        ),
        ({"snr_low_db": 30.0}, "snr_low_db=30 must be at most snr_high_db=22"),
        ({"target": "4x4 qpsk"}, "target: link '4x4 qpsk' must read like"),
        ({"method": "kd", "stream": "2x2 qpsk rayleigh,"}, "stream: link '' must read like"),
        ({"method": "kd", "stream": ",".join(9 * ["2x2 qpsk rayleigh"])}, "stream has 9 links"),
        ({"steps": 60}, "steps=60: .* multiple of 50"),
        ({"num_samples": 5000}, "num_samples=5000"),
        ({"methd": "kd"}, "no parameter 'methd'; did you mean 'method'"),
        ({"preset": "tiny"}, "preset='tiny' must be one of"),
    ],
)
def test_what_cannot_be_is_refused_in_words(params, words):
    with pytest.raises(ConfigError, match=words):
        TASK.complete(params)


@given(st.integers(1, 64), st.integers(1, 64), st.integers(1, 8))
def test_a_collective_grows_link_by_link_to_its_width(first, width, count):
    stream = ", ".join(["2x2 qpsk rayleigh"] * count)
    params = {"method": "learngene", "stream": stream, "collective_width": width, "width": width}
    if first > width and count > 1:
        with pytest.raises(ConfigError, match=rf"first_width={first} .* collective_width={width}"):
            resolve({**params, "first_width": first})
        return
    settings = resolve({**params, "first_width": first})
    widths = [plan.head_width for plan in settings.stream_plans]
    assert len(widths) == count
    assert widths == sorted(widths)
    assert settings.stream_plans[-1] == settings.collective
    assert widths[0] == (width if count == 1 else first)
