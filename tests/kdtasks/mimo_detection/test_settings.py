import pytest
from hypothesis import given
from hypothesis import strategies as st
from mimo_trials import TASK, tiny

from kdtasks.contract.errors import ConfigError
from kdtasks.contract.params import fingerprint
from kdtasks.mimo_detection.settings import MimoSettings, resolve

INHERITING = st.fixed_dictionaries(
    {},
    optional={
        "gene_start": st.integers(0, 7),
        "gene_length": st.integers(1, 4),
        "width": st.integers(1, 64),
    },
) | st.fixed_dictionaries(
    {"gene_rule": st.sampled_from(["weight-change", "gradient-share"])},
    optional={"gene_length": st.integers(1, 4)},
)
TREATMENTS = st.one_of(
    st.fixed_dictionaries({"treatment": st.sampled_from(["trained", "frozen"])}),
    st.fixed_dictionaries(
        {"treatment": st.just("slower"), "gene_rate_share": st.floats(0.01, 0.9)}
    ),
    st.fixed_dictionaries({"treatment": st.just("ewc"), "ewc_weight": st.floats(0.1, 1e5)}),
)
DISTILLING = st.fixed_dictionaries(
    {}, optional={"alpha": st.floats(0.0, 1.0), "temperature": st.floats(0.1, 10.0)}
)
NOTHING = st.just({})
OF_METHOD = {
    "vanilla": (NOTHING, NOTHING, NOTHING),
    "learngene": (INHERITING, TREATMENTS, NOTHING),
    "finetune": (NOTHING, NOTHING, NOTHING),
    "kd": (NOTHING, NOTHING, DISTILLING),
    "learngene-kd": (INHERITING, TREATMENTS, DISTILLING),
}
LINKS = st.sampled_from(
    ["2x2 qpsk rayleigh", "4x8 16QAM kronecker-0.50", "4x4 qpsk  cdl-a", "2X3 qpsk rician--3.0"]
)
SHARED = st.fixed_dictionaries(
    {},
    optional={
        "preset": st.sampled_from(MimoSettings.preset_names()),
        "target": LINKS,
        "stream": st.lists(LINKS, min_size=1, max_size=4).map(",".join),
        "depth": st.integers(4, 8),
        "head_width": st.integers(1, 200),
        "adapter": st.sampled_from(["linear", "cut"]),
        "num_samples": st.integers(0, 4096),
        "schedule": st.sampled_from(["constant", "cosine"]),
        "replay_share": st.floats(0.0, 0.9),
        "first_width": st.integers(0, 32),
        "noise_blind": st.booleans(),
        "skip": st.sampled_from(["zf", "lmmse"]),
        "steps": st.integers(1, 20).map(lambda n: 50 * n),
        "seed": st.integers(0, 2**63 - 1),
        "teacher_seed": st.integers(0, 2**63 - 1),
        "data_seed": st.integers(0, 2**63 - 1),
    },
)
PARAMS = st.one_of(
    st.builds(
        lambda *parts, method=method: (
            {k: v for part in parts for k, v in part.items()} | {"method": method}
        ),
        SHARED,
        *own,
    )
    for method, own in OF_METHOD.items()
)
"""Any valid parameters of family conv."""


@given(PARAMS)
def test_completing_twice_is_completing_once(params):
    completed = TASK.complete(params)
    assert TASK.complete(completed) == completed
    assert list(TASK.complete(completed)) == list(completed)
    assert resolve(completed) == resolve(params)


@given(PARAMS)
def test_what_complete_leaves_out_makes_no_difference(params):
    completed = TASK.complete(params)
    defaults = resolve({"preset": completed["preset"], "method": "vanilla"})
    for name in params.keys() - completed.keys():
        assert not MimoSettings.declared[name].strict
        assert getattr(resolve(params), name) == getattr(defaults, name)


@given(PARAMS, st.integers(0, 99), st.floats(1e-5, 1.0), st.integers(4, 20))
def test_what_is_no_resource_needs_no_other_data_and_no_other_teacher(params, seed, rate, depth):
    free = {"seed": seed, "learning_rate": rate, "depth": depth, "num_samples": 100}
    assert not free.keys() & TASK.resource_parameters
    changed = {**params, **free}
    assert TASK.teacher_fingerprint(changed) == TASK.teacher_fingerprint(params)
    assert TASK.scenario_fingerprint(changed) == TASK.scenario_fingerprint(params)


@given(PARAMS)
def test_every_trial_has_a_cost(params):
    assert min(TASK.cost(params).values()) > 0.0


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
