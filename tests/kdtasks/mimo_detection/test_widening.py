import pytest
import torch
from csi_examples import drained
from hypothesis import given, settings
from hypothesis import strategies as st
from mimo_examples import received
from tried import times

from kdtasks.learning.random import initialised, torch_generator
from kdtasks.mimo_detection.link.link import MimoLink, from_law
from kdtasks.mimo_detection.methods.collective import Lesson, learn_stream, widened
from kdtasks.mimo_detection.methods.job import bits_only, on_samples, schedule
from kdtasks.mimo_detection.methods.samples import EvaluationSamples, fixed, stream
from kdtasks.mimo_detection.models.conv import ConvNet
from kdtasks.mimo_detection.models.family import build, conv_plan, run
from kdtasks.mimo_detection.models.features import InputFeatures, features_of

FEATURES = InputFeatures()
TEXT = "3x4 qpsk rayleigh"


def network(width: int, depth: int = 2, seed: int = 0) -> ConvNet:
    """A network of which every weight counts: the last layer starts at zero otherwise."""
    made = initialised(seed, "network", lambda: build(conv_plan(width, depth, (5, 4))))
    assert isinstance(made, ConvNet)
    with torch.no_grad():
        made.head.last.weight.normal_(generator=torch_generator(seed, "last"))
        made.gain.fill_(0.7)
    return made


@settings(deadline=None, max_examples=times(25))
@given(
    narrow=st.integers(1, 14),
    more=st.integers(1, 9),
    depth=st.integers(0, 3),
    seed=st.integers(0, 99),
)
def test_a_wider_network_computes_the_same(narrow: int, more: int, depth: int, seed: int) -> None:
    inputs = features_of(received(TEXT, 4, 10.0), FEATURES)
    before = network(narrow, depth, seed)
    after = widened(before, network(narrow + more, depth, seed + 1))
    assert after.head.width == narrow + more
    with torch.no_grad():
        torch.testing.assert_close(run(after, inputs), run(before, inputs), rtol=1e-5, atol=1e-5)


def test_new_channels_learn_from_the_first_step_on() -> None:
    after = widened(network(6), network(9, seed=1))
    objective = on_samples(after, fixed(received(TEXT, 32, 10.0), FEATURES), bits_only)
    objective(torch.arange(32))["total"].backward()
    gradient = after.head.hidden[0].weight.grad
    assert gradient is not None
    assert (gradient[:, 6:9] != 0).any()  # means of rows of the new channels
    assert (gradient[:, 15:18] != 0).any()  # their diagonals


def lesson(text: str, wider: int | None = None) -> Lesson:
    link = MimoLink.parse(text)
    samples = stream(link, from_law(link), (6, 22), FEATURES, torch_generator(0, f"learn {text}"))
    return Lesson(
        samples=samples,
        judged=EvaluationSamples(received(text, 200, 12.0), FEATURES),
        schedule=schedule(steps=50, batch_size=16, learning_rate=3e-3, cosine=True),
        wider=None if wider is None else lambda: network(wider, seed=2),
    )


def test_a_collective_grows_before_the_task_that_widens_it() -> None:
    lessons = [lesson("2x2 qpsk rayleigh"), lesson("2x3 qpsk rayleigh", wider=8)]
    training = learn_stream(
        network(6),
        lessons,
        macs_of=lambda _: 1,
        replay_share=0.0,
        order=torch_generator(0, "order"),
    )
    learnt = drained(training)[1]
    assert learnt.network.head.width == 8
    # a unit changes from what it was widened to, not from what it was before
    assert (learnt.weight_change_TU[1] < 1.0).all()
    assert learnt.ratios_TT[1, 0] == pytest.approx(learnt.ratios_TT[0, 0], abs=0.1)
