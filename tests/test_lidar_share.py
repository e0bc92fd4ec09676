import pytest

from analysis.stats import mean_interval
from benchmarks.lidar_share import SCORE, arms_of, lines_of
from sweeps.common.records import JobRecord

TEACHERS = {0: 80.0, 1: 90.0, 2: 100.0}


def job(kind, top5, **params):
    return JobRecord(
        kind=kind,
        key=f"{kind}/{sorted(params.items())}",
        params={"scenario": "street", **params},
        metrics={SCORE: top5},
        started_ms=0,
        ended_ms=1,
    )


def teachers(model="gru", scores=TEACHERS):
    return [job("teacher", top5, teacher=model, data_seed=seed) for seed, top5 in scores.items()]


def students(method, shares, teacher="gru", **params):
    """Students with these shares of the GRU teachers [%], one per street."""
    own = {} if method == "vanilla" else {"teacher": teacher, "teacher_seed": 3}
    return [
        job(
            "confirmation",
            share * TEACHERS[seed] / 100.0,
            method=method,
            seed=seed,
            data_seed=seed,
            **own,
            **params,
        )
        for seed, share in enumerate(shares)
    ]


def found(*jobs):
    return {arm.method: arm for arm in arms_of([one for group in jobs for one in group], "gru")}


def test_a_share_is_that_of_the_teacher_of_the_same_street():
    arms = found(
        teachers(), students("datafree", (95.0, 93.0, 91.0)), students("vanilla", (90, 80))
    )
    assert dict(arms["datafree"].share) == pytest.approx({0: 95.0, 1: 93.0, 2: 91.0})
    assert dict(arms["vanilla"].share) == pytest.approx({0: 90.0, 1: 80.0})
    assert arms["vanilla"].top5[1] == pytest.approx(72.0)


def test_seeds_alone_make_no_other_arm_and_everything_else_does():
    jobs = [*teachers(), *students("prior", (90.0, 91.0)), *students("prior", (80.0,), width=2.0)]
    arms = arms_of(jobs, "gru")
    assert [len(arm.top5) for arm in arms] == [2, 1]
    assert arms[0].name == "prior"


@pytest.mark.parametrize("model", ["cnn-gru", "gru"])
def test_a_student_needs_exactly_one_teacher(model):
    others = [] if model == "cnn-gru" else teachers()
    with pytest.raises(SystemExit, match=f"{len(others) and 2} teachers {model} .* method prior"):
        arms_of([*teachers(), *others, *students("prior", (90.0,), teacher=model)], "gru")


def text_of(ours, theirs, method="gaussian", **params):
    generator = {"generator": "objects"}
    arms = arms_of(
        [
            *teachers(),
            *students("datafree", ours, **generator),
            *students(method, theirs, **params),
        ],
        "gru",
    )
    return "\n".join(lines_of(arms))


def test_intervals_that_share_a_number_overlap():
    assert "intervals do not overlap" in text_of((95.0, 95.0, 95.0), (40.0, 41.0, 42.0))
    assert "intervals overlap" in text_of((95.0, 95.0, 95.0), (94.0, 94.0, 94.0))
    # Neither direction matters.
    assert "intervals do not overlap" in text_of((40.0, 41.0, 42.0), (95.0, 95.0, 95.0))
    assert "a single seed has no interval" in text_of((95.0,), (90.0,))


def test_both_thresholds_count():
    assert "90 and 85 reached" in text_of((95.0, 95.0, 86.0), (40.0, 41.0, 42.0))
    assert "90 and 85 not reached" in text_of((99.0, 99.0, 84.0), (40.0, 41.0, 42.0))
    assert "90 and 85 not reached" in text_of((89.0, 89.0, 89.0), (40.0, 41.0, 42.0))


def test_controls_are_of_the_same_teacher_and_an_untrained_one_of_the_same_family():
    assert "beside untrained" in text_of((95.0,), (90.0,), "untrained", generator="objects")
    assert "beside" not in text_of((95.0,), (90.0,), "untrained", generator="dense")


def test_the_table_shows_means_and_their_intervals():
    text = text_of((95.0, 93.0, 91.0), (40.0, 41.0, 42.0))
    share = mean_interval([95.0, 93.0, 91.0])
    assert f"{share.mean:.1f} [{share.low:.1f}, {share.high:.1f}]" in text
    assert "datafree: 93.0 % of its teacher on average, 91.0 % in the worst of 3 seeds" in text
