"""Losses, encoders and data of the user's own, in the tasks that take them."""

import beam_trials
import csi_examples
import lidar_trials
import mimo_trials
import numpy as np
import own_parts
import pytest
from csi_examples import silent, tiny

from kdtasks.contract.errors import ConfigError, DataError
from kdtasks.data.splits import SPLITS

CSI, BEAM = csi_examples.TASK, beam_trials.TASK
DISTANCE, LINEAR, RAYS = "own_parts:distance", "own_parts:linear", "own_parts:rays"


def same_weights(one, other):
    assert one.weights.keys() == other.weights.keys()
    for name, array in one.weights.items():
        np.testing.assert_array_equal(array, other.weights[name], err_msg=name)


@pytest.mark.slow
def test_a_loss_that_states_what_a_method_states_trains_the_same_student(
    beam_data_tiny, beam_teacher
):
    own = {"method": "own_parts:response", "alpha": 0.6}
    ours = {"method": "response", "alpha": 0.6, "temperature": 2.0}
    students = [
        beam_trials.trained_student(beam_data_tiny, beam_teacher, **changes)[1]
        for changes in (own, ours)
    ]
    same_weights(*students)


def test_so_does_one_of_made_up_windows(lidar_data_tiny, lidar_teacher):
    students = [
        lidar_trials.trained_student(
            lidar_data_tiny, lidar_teacher, method="gaussian", soft_loss=loss
        )[1]
        for loss in ("own_parts:response", "kl")
    ]
    same_weights(*students)
    with pytest.raises(ConfigError, match="soft_loss: no method 'huber'; there are kl, mse, or"):
        lidar_trials.TASK.complete({"method": "gaussian", "soft_loss": "huber"})
    own = {"soft_loss": "own_parts:response", "temperature": 3.0}
    with pytest.raises(ConfigError, match=r"temperature=3\.0 has no effect"):
        lidar_trials.TASK.complete({"method": "gaussian", **own})


@pytest.mark.parametrize("family", ["conv", "unrolled"])
def test_so_does_one_of_bits(mimo_data_tiny, family):
    teacher = mimo_trials.trained_teacher(mimo_data_tiny, family=family)
    students = [
        mimo_trials.trained_student(
            mimo_data_tiny, teacher, method="kd", family=family, soft_loss=loss, **more
        )[1]
        for loss, more in (("own_parts:bits", {}), ("kl", {"temperature": 2.0}))
    ]
    for name, array in students[0].weights.items():
        np.testing.assert_allclose(array, students[1].weights[name], rtol=1e-4, atol=1e-5)
    own = {"soft_loss": "own_parts:bits", "temperature": 3.0}
    with pytest.raises(ConfigError, match=r"temperature=3\.0 has no effect"):
        mimo_trials.TASK.complete({"method": "kd", **own})


@pytest.mark.parametrize("method", ["encoder-kd", "ip-encoder-kd"])
def test_so_does_one_of_codewords(tiny_data, tiny_teacher, method):
    students = [
        csi_examples.trained_student(tiny_data, tiny_teacher, method=method, codeword_loss=loss)[1]
        for loss in (DISTANCE, "mse")
    ]
    for name, array in students[0].weights.items():
        np.testing.assert_allclose(array, students[1].weights[name], rtol=1e-2, atol=1e-3)
    with pytest.raises(ConfigError, match=r"codeword_loss: no method .huber"):
        CSI.complete(tiny(method=method, codeword_loss="huber"))


@pytest.mark.parametrize("task", [CSI, BEAM], ids=lambda task: task.name)
def test_a_loss_has_the_teacher_of_other_methods_and_an_alpha_alone(task):
    params = task.complete({"method": DISTANCE, "alpha": 0.3})
    other = task.complete({"method": {"csi-feedback": "autoencoder-kd"}.get(task.name, "response")})
    assert task.teacher_fingerprint(params) == task.teacher_fingerprint(other)
    assert (params["method"], params["alpha"]) == (DISTANCE, 0.3)
    assert task.complete(params) == params
    assert "temperature" not in params
    with pytest.raises(ConfigError, match=r"temperature=3\.0 has no effect"):
        task.complete({"method": DISTANCE, "temperature": 3.0})


def test_at_alpha_0_a_loss_changes_nothing(tiny_data, tiny_teacher):
    _, own = csi_examples.trained_student(tiny_data, tiny_teacher, method=DISTANCE, alpha=0.0)
    _, vanilla = csi_examples.trained_student(tiny_data)
    same_weights(own, vanilla)


def test_at_alpha_1_a_student_nears_its_teacher_and_needs_no_labels(tiny_data, tiny_teacher):
    """The teacher is replaced by one that says a constant, which is what the student learns."""
    message = {name: np.full_like(array, 0.5) for name, array in tiny_teacher.outputs.items()}
    constant = type(tiny_teacher)(
        metrics=tiny_teacher.metrics, weights=tiny_teacher.weights, outputs=message
    )
    changes = {"method": DISTANCE, "alpha": 1.0, "epochs": 12}
    _, outcome = csi_examples.trained_student(tiny_data, constant, **changes)
    assert abs(outcome.metrics["val_nmse_db"]) < 1.0  # to send nothing has 0 dB
    assert outcome.metrics["teacher_forward_samples"] == 0


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("kd", "no method 'kd'; there are autoencoder-kd, .*package.module:function"),
        ("own_parts:no_such", "cannot be imported: .*no attribute"),
        ("own_parts:not_a_function", "is of type int, not a function"),
        ("own_parts:per_sample", r"returns shape \[4\], not one number"),
        ("own_parts:plain_number", r"returns [\d.]+, not one number"),
        ("own_parts:detached", "no gradient reaches the student"),
        ("own_parts:of_teacher", "no gradient reaches the student; the loss must depend"),
        ("own_parts:logarithm", "is not finite"),
        ("own_parts:raising", r"tensors of shape \[4, 2, 16, 16\] raised IndexError: too few"),
    ],
)
def test_a_loss_that_cannot_train_is_refused_before_anything_is_started(name, reason):
    with pytest.raises(ConfigError, match=reason) as error:
        CSI.complete({"method": name})
    assert name in str(error.value)


def test_an_encoder_that_is_one_of_ours_gives_the_same_student(tiny_data, tiny_teacher):
    ours = {"encoder": "light", "encoder_depth": 0}
    for method in ("vanilla", "encoder-kd"):
        teacher = tiny_teacher if method == "encoder-kd" else None
        students = [
            csi_examples.trained_student(tiny_data, teacher, method=method, **changes)[1]
            for changes in ({"encoder": LINEAR}, ours)
        ]
        same_weights(*students)
    assert CSI.cost(tiny(encoder=LINEAR)) == CSI.cost(tiny(**ours))
    params = CSI.complete(tiny(encoder=LINEAR))
    assert "encoder_depth" not in params
    judged = CSI.evaluate(params, students[0].weights, tiny_data.val)
    assert judged["nmse_db"] == pytest.approx(students[0].metrics["val_nmse_db"], abs=1e-4)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"encoder": "big"}, "no encoder 'big'; there are crnet, light, .*package.module:Class"),
        ({"encoder": "own_parts:TooLong"}, r"into shape \[2, 33\]; codewords have shape \[2, 32\]"),
        ({"encoder": "own_parts:TwoParts"}, "into tuple"),
        ({"encoder": "own_parts:Sizeless"}, "raised TypeError"),
        ({"encoder": LINEAR, "method": "sequential"}, "one of the project's encoders on both"),
        ({"encoder": LINEAR, "encoder_depth": 2}, "encoder_depth=2 has no effect"),
    ],
)
def test_an_encoder_that_gives_no_codewords_is_refused(changes, reason):
    with pytest.raises(ConfigError, match=reason):
        CSI.complete(tiny(**changes))


@pytest.mark.slow
def test_an_own_encoder_and_an_own_loss_work_in_a_network(tmp_path):
    from csi_network_examples import networked

    from sweeps.plan.contract import check_contract

    params = networked("decentralized", method=DISTANCE, encoder=LINEAR)
    found = check_contract("csi-feedback", params, tmp_path)
    assert [one for one in found if one.broken] == []


def loaded(params, cache):
    return CSI.load_scenario(CSI.complete(params), cache_dir=cache, progress=silent)


def test_a_source_gives_what_a_file_of_its_channels_gives(tmp_path):
    """Also from the cache, and from a folder with the channels in two files."""
    users = sum(tiny()[f"num_{name}"] for name in SPLITS)
    sizes = {"num_users": users, "num_antennas": 8, "num_subcarriers": 8}
    channels = own_parts.rays(**sizes, seed=3).astype(np.complex64)
    folder = tmp_path / "parts"
    folder.mkdir()
    np.save(tmp_path / "all.npy", channels)
    np.save(folder / "b.npy", channels[100:])
    np.save(folder / "a.npy", channels[:100])
    made = loaded(tiny(scenario=RAYS, data_seed=3), tmp_path)
    for path in (folder, tmp_path / "all.npy"):
        own = CSI.own_data(path, {})
        read = loaded({**tiny(), **own.parameters}, tmp_path)
        again = loaded(tiny(scenario=RAYS, data_seed=3), tmp_path)
        for name in SPLITS:
            for found in (read, again):
                wanted = getattr(made, name)["pictures"]
                np.testing.assert_array_equal(getattr(found, name)["pictures"], wanted)
    assert "own_parts" in made.provenance["source"]


def test_other_code_gives_other_data(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "rays_of_mine.py").write_text("from depths_of_mine import rays\n")
    helper = tmp_path / "depths_of_mine.py"
    helper.write_text("from own_parts import rays\n")
    params = CSI.complete(tiny(scenario="rays_of_mine:rays"))
    before = CSI.scenario_fingerprint(params)
    other = CSI.complete(tiny(scenario="rays_of_mine:rays", data_seed=1))
    assert before != CSI.scenario_fingerprint(other)
    helper.write_text("from own_parts import rays  # a comment\n")
    assert CSI.scenario_fingerprint(params) == before
    helper.write_text("from own_parts import rays\n\nPATHS = 3\n")
    assert CSI.scenario_fingerprint(params) != before


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("own_parts:real_rays", "returned float64 of shape .* must return complex"),
        ("own_parts:short_rays", r"of shape \[359, 8, 8\]; it must return .* \[360, 8, 8\]"),
        ("own_parts:dead_rays", "samples have zero power"),
        ("own_parts:failing_rays", "raised RuntimeError: no licence"),
    ],
)
def test_what_are_no_channels_is_refused(name, reason, tmp_path):
    with pytest.raises(DataError, match=reason):
        loaded(tiny(scenario=name), tmp_path)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("mars", "no scenario 'mars'; there are cost2100-indoor, .*package.module:function"),
        ("own_parts:not_a_function", "is of type int, not a function"),
    ],
)
def test_what_is_no_source_is_refused_before_anything_is_started(name, reason):
    with pytest.raises(ConfigError, match=reason):
        CSI.complete(tiny(scenario=name))
