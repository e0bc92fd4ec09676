import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from tried import times

from kdtasks.learning.complexity import count
from kdtasks.learning.random import initialised
from kdtasks.learning.tensors import load_state, state_arrays
from kdtasks.lidar_beam.models.family import GENERATORS, LIDAR_TEACHERS, WINDOW_SHAPE
from kdtasks.lidar_beam.models.student import LidarStudent
from kdtasks.sensing.beams.format import NUM_BEAMS, NUM_PAST, NUM_RAYS, SCAN_STEPS

NETWORKS = {**LIDAR_TEACHERS, "student": LidarStudent}
by_network = pytest.mark.parametrize("name", NETWORKS)
by_generator = pytest.mark.parametrize("family", GENERATORS.values(), ids=lambda f: f.name)


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def built(name, seed=0):
    """Return a network in double precision, without dropout."""
    return initialised(seed, name, NETWORKS[name]).double().eval()


def windows(count, seed=0):
    drawn = noise(count, *WINDOW_SHAPE, seed=seed).double()
    return torch.where(drawn > 1.0, drawn, 0.0)


@pytest.mark.parametrize(
    ("name", "params", "macs"),
    # Of a step: convolutions, dense layer, GRU, classifier; there are 11 steps.
    [
        ("cnn-gru", 189_952, 11 * (8_480 + 130_560 + 104_448 + 73_728 + 8_192)),
        ("gru", 96_640, 11 * (13_824 + 73_728 + 8_192)),
        ("student", 8_096, 11 * (3_456 + 2_880 + 1_536)),
    ],
)
def test_networks_cost_what_the_papers_do(name, params, macs):
    cost = count(NETWORKS[name](), WINDOW_SHAPE)
    assert (cost.params, cost.macs) == (params, macs)


@pytest.mark.parametrize(
    ("name", "params"), [("dense", 287_040), ("dense-deep", 303_552), ("objects", 22_414)]
)
def test_generators_have_their_parameters(name, params):
    generator = GENERATORS[name].build()
    assert count(generator, (generator.noise_size,)).params == params


@by_network
def test_torchs_own_counter_agrees(name):
    # It sees no recurrent layer of a CPU; with one it would count what `count` does.
    network = NETWORKS[name]().eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, *WINDOW_SHAPE))
    gru = network.gru
    recurrent = SCAN_STEPS * 3 * gru.hidden_size * (gru.input_size + gru.hidden_size)
    counted = 2 * count(network, WINDOW_SHAPE).macs
    assert counter.get_total_flops() in (counted, counted - 2 * recurrent)


@by_network
def test_outputs_have_their_shapes(name):
    network = built(name)
    message = network(windows(3))
    hidden, embedding = network.gru.hidden_size, network.gru.input_size
    assert message.logits.shape == (3, SCAN_STEPS, NUM_BEAMS)
    assert message.embedding.shape == (3, SCAN_STEPS, embedding)
    assert message.hidden.shape == (3, SCAN_STEPS, hidden)
    assert torch.equal(message.predicted, message.logits[:, 7:])


@by_network
def test_a_window_is_followed_by_three_empty_scans(name):
    network, seen = built(name), windows(2)
    longer = torch.cat([seen, torch.zeros(2, 3, NUM_RAYS)], dim=1)
    for ours, theirs in zip(network(seen), network(longer), strict=True):
        assert torch.equal(ours, theirs)


@by_network
def test_no_step_reads_ahead(name):
    network, seen = built(name), windows(2)
    changed = seen.clone()
    changed[:, 5] += 1.0
    gap_S = (network(seen).logits - network(changed).logits).abs().amax((0, 2))
    assert (gap_S[:5] == 0.0).all()
    assert (gap_S[5:] > 0.0).all()


@by_network
def test_recurrence_by_hand(name):
    network, seen = built(name), windows(2)
    message = network(seen)
    gru = network.gru
    parts = zip(
        gru.weight_ih_l0.chunk(3),
        gru.weight_hh_l0.chunk(3),
        gru.bias_ih_l0.chunk(3),
        gru.bias_hh_l0.chunk(3),
        strict=True,
    )
    reset, update, new = parts
    state = torch.zeros(2, gru.hidden_size).double()
    for step in range(SCAN_STEPS):
        scan = seen[:, step] if step < NUM_PAST else torch.zeros(2, NUM_RAYS).double()
        code = network.encoder(scan)
        r, z = (torch.sigmoid(code @ w.T + b + state @ u.T + c) for w, u, b, c in (reset, update))
        candidate = torch.tanh(code @ new[0].T + new[2] + r * (state @ new[1].T + new[3]))
        state = (1 - z) * candidate + z * state
        torch.testing.assert_close(message.hidden[:, step], state)
        torch.testing.assert_close(message.logits[:, step], network.head(state))


def test_convolutions_by_hand():
    encoder = built("cnn-gru").encoder
    scan = windows(1)[0, 0]

    def strided(signal, layer):
        places = (signal.shape[-1] - 5) // 2 + 1
        cut = torch.stack([signal[:, 2 * p : 2 * p + 5] for p in range(places)])  # [P, C, 5]
        return torch.relu(torch.einsum("pck,dck->dp", cut, layer.weight) + layer.bias[:, None])

    maps = strided(strided(scan[None], encoder.near), encoder.far)
    assert maps.shape == (32, 51)
    torch.testing.assert_close(encoder(scan[None])[0], encoder.code(maps.flatten()))


@by_network
def test_only_codes_are_dropped_and_only_in_training(name):
    network, seen = built(name), windows(2)
    shares = [module.p for module in network.modules() if isinstance(module, nn.Dropout)]
    assert shares == [{"cnn-gru": 0.1, "gru": 0.3, "student": 0.1}[name]]
    assert torch.equal(network(seen).logits, network(seen).logits)
    network.train()
    assert not torch.equal(network(seen).logits, network(seen).logits)
    assert torch.equal(network(seen).embedding, network(seen).embedding)


@settings(max_examples=times(20))
@given(width=st.floats(0.1, 4.0))
def test_students_of_any_width_fit_and_a_wider_one_costs_no_less(width):
    ours, wider = (
        count(LidarStudent(width=factor), WINDOW_SHAPE) for factor in (width, 1.25 * width)
    )
    embedding, hidden = max(1, int(16 * width + 0.5)), max(1, int(24 * width + 0.5))
    recurrent = 3 * hidden * (embedding + hidden) + 6 * hidden
    assert ours.params == 217 * embedding + recurrent + 64 * hidden + 64
    assert ours.params <= wider.params
    assert ours.macs <= wider.macs


@by_generator
@pytest.mark.parametrize("noise_size", [0, 7])
def test_generators_make_windows_of_ranges(family, noise_size):
    generator = initialised(0, "generator", lambda: family.build(noise_size=noise_size, width=0.5))
    assert generator.noise_size == (noise_size or family.noise_size)
    drawn = noise(16, generator.noise_size)
    made = generator(drawn)
    assert made.shape == (16, *WINDOW_SHAPE)
    assert (made >= 0.0).all()
    assert made.isfinite().all()
    assert not torch.equal(made[0], made[1])
    # A window is a function of its own noise alone.
    torch.testing.assert_close(generator(drawn[3:4]), made[3:4])


@by_generator
def test_every_parameter_of_a_generator_can_learn(family):
    generator = initialised(0, "generator", family.build)
    made = generator(noise(64, generator.noise_size))
    (made.square().mean() + made.mean()).backward()
    assert all(p.grad.abs().max() > 0.0 for p in generator.parameters())


@by_generator
def test_a_generator_travels_as_plain_arrays(family):
    one, other = (initialised(seed, "generator", family.build) for seed in (1, 2))
    drawn = noise(4, one.noise_size)
    assert not torch.equal(one(drawn), other(drawn))
    load_state(other, state_arrays(one))
    assert torch.equal(one(drawn), other(drawn))
