from itertools import count as counted

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from kdtasks.csi_feedback.models.autoencoder import Autoencoder
from kdtasks.csi_feedback.models.crnet import CRNetDecoder, CRNetEncoder
from kdtasks.csi_feedback.models.light_encoder import LightEncoder, LightShape
from kdtasks.learning.complexity import batch1_latency_ms, count, state_bytes, training_bytes

PICTURE = (2, 32, 32)


@pytest.mark.parametrize(
    ("codeword_length", "teacher_flops", "student_flops"),
    [(128, 11_407_232, 601_984), (64, 11_145_152, 339_904)],
    ids=["1/16", "1/32"],
)
def test_table_iii_of_cui_et_al_to_the_unit(codeword_length, teacher_flops, student_flops):
    teacher = CRNetEncoder(32, 32, codeword_length)
    student = LightEncoder(32, 32, codeword_length, LightShape())
    assert count(teacher, PICTURE).flops == teacher_flops
    assert count(student, PICTURE).flops == student_flops


@pytest.mark.parametrize(
    ("layer", "shape", "macs", "flops"),
    [
        # 4 x 5 outputs, 2 channels of 3 x 3 = 18 products for each of 6
        (nn.Conv2d(2, 6, 3, padding=1), (2, 4, 5), 20 * 18 * 6, 2 * 20 * 19 * 6),
        # 1 x 9 kernel: 4 x 5 outputs, 27 products for each of 2
        (nn.Conv2d(3, 2, (1, 9), padding=(0, 4)), (3, 4, 5), 20 * 27 * 2, 2 * 20 * 28 * 2),
        # without padding and with stride: 1 x 2 outputs
        (nn.Conv2d(1, 4, 3, stride=2), (1, 4, 5), 2 * 9 * 4, 2 * 2 * 10 * 4),
        # two groups: each output sees half of the channels
        (nn.Conv2d(4, 2, 1, groups=2), (4, 3, 3), 9 * 2 * 2, 2 * 9 * 3 * 2),
        (nn.Linear(7, 3), (7,), 21, 13 * 3),
        (nn.Linear(7, 3, bias=False), (7,), 21, 13 * 3),
        (nn.BatchNorm2d(3), (3, 4, 4), 0, 0),
        (nn.LeakyReLU(0.3), (3, 4, 4), 0, 0),
    ],
)
def test_layers_by_hand(layer, shape, macs, flops):
    cost = count(layer, shape)
    assert (cost.macs, cost.flops) == (macs, flops)


def test_costs_of_layers_in_a_row_add_up():
    first, second = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 2, 3, padding=1)
    shape = (2, 6, 6)
    whole = count(nn.Sequential(first, nn.ReLU(), second), shape)
    assert whole.flops == count(first, shape).flops + count(second, (4, 6, 6)).flops
    assert whole.params == count(first, shape).params + count(second, (4, 6, 6)).params


@pytest.mark.parametrize(
    ("model", "shape"),
    [(CRNetEncoder(8, 8, 16), (2, 8, 8)), (CRNetDecoder(8, 8, 16), (16,))],
    ids=["encoder", "decoder"],
)
def test_parameters_are_those_that_are_trained(model, shape):
    assert count(model, shape).params == sum(p.numel() for p in model.parameters())
    next(model.parameters()).requires_grad_(False)
    frozen = next(model.parameters()).numel()
    assert count(model, shape).params == sum(p.numel() for p in model.parameters()) - frozen


@pytest.mark.parametrize("training", [False, True])
def test_counting_leaves_no_trace(training):
    model = CRNetDecoder(8, 8, 16).train(training)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    count(model, (16,))
    assert model.training is training
    assert not any(module._forward_hooks for module in model.modules())
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())


def test_hooks_are_gone_after_a_failure_too():
    model = CRNetEncoder(8, 8, 16)
    with pytest.raises(RuntimeError):
        count(model, (2, 4, 4))
    assert not any(module._forward_hooks for module in model.modules())
    assert model.training


def test_latency_is_positive_and_leaves_no_trace():
    model = CRNetEncoder(8, 8, 16)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    threads = torch.get_num_threads()
    assert 0.0 < batch1_latency_ms(model, (2, 8, 8)) < 1e3
    assert torch.get_num_threads() == threads
    assert model.training
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())


@pytest.mark.parametrize(("pass_s", "passes"), [(1e-9, 200), (0.002, 50), (1.0, 15)])
def test_latency_is_the_median_of_as_many_passes_as_take_a_tenth_of_a_second(
    monkeypatch, pass_s, passes
):
    times, model = counted(), nn.Identity()
    monkeypatch.setattr("time.perf_counter", lambda: pass_s * next(times))
    assert batch1_latency_ms(model, (1,)) == pytest.approx(1e3 * pass_s)
    assert next(times) == pytest.approx(2 * passes, abs=2)


def allocated(model, shape, batch):
    """Return the peak of what one step of Adam really allocates, by torch's profiler [B]."""
    trained = [p for p in model.parameters() if p.requires_grad]
    inputs = torch.rand(batch, *shape)
    optimiser = torch.optim.Adam(trained)

    def step():
        optimiser.zero_grad(set_to_none=True)
        model(inputs).square().mean().backward()
        optimiser.step()

    step()  # Adam makes its moments in the first
    optimiser.zero_grad(set_to_none=True)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        step()
    events = [e for e in record.profiler.kineto_results.events() if e.name() == "[memory]"]
    now = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    moments = 2 * sum(p.numel() * p.element_size() for p in trained)
    return peak + state_bytes(model) + moments


def autoencoder(encoder=None, *, freeze=False):
    model = Autoencoder(encoder or LightEncoder(16, 16, 32, LightShape()), CRNetDecoder(16, 16, 32))
    if freeze:
        model.decoder.eval().requires_grad_(False)
    return model


@pytest.mark.parametrize(
    ("model", "factor"),
    [
        (autoencoder(), 1.15),
        (autoencoder(freeze=True), 1.15),
        (autoencoder(CRNetEncoder(16, 16, 32)), 1.15),
        (LightEncoder(16, 16, 32, LightShape(depth=0)), 1.6),
        (LightEncoder(16, 16, 32, LightShape()), 3.0),
    ],
    ids=["student", "frozen decoder", "teacher", "linear encoder", "light encoder"],
)
def test_memory_of_training_is_about_what_the_profiler_sees(model, factor):
    estimate = training_bytes(model, (2, 16, 16), 50)
    real = allocated(model, (2, 16, 16), 50)
    assert real / factor < estimate < 1.1 * real


def test_memory_of_training_by_hand():
    model = nn.Sequential(nn.Linear(7, 3), nn.ReLU())
    # 24 parameters with gradient and two moments; 3 + 3 outputs for each of 5 samples
    assert training_bytes(model, (7,), 5) == 4 * (4 * 24 + 5 * 6)
    model.requires_grad_(False)
    assert training_bytes(model, (7,), 5) == 4 * (24 + 5 * 6)


def test_memory_grows_by_the_activations_of_a_sample():
    model = autoencoder()
    sizes = [training_bytes(model, (2, 16, 16), batch) for batch in (10, 20, 30)]
    assert sizes[2] - sizes[1] == sizes[1] - sizes[0] > 0
    assert not any(module._forward_hooks for module in model.modules())
    assert model.training
