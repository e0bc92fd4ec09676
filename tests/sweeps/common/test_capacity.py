"""The machines are shared out before anything starts; what cannot fit is refused in words."""

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kdtasks.contract.errors import ConfigError
from search_spaces.resources import TrialResources
from sweeps.common.capacity import (
    Capacity,
    ResourceAllocation,
    ResourceRequest,
    Share,
    allocate,
)

ONE = TrialResources()


def machines(*cpus, gpus=0):
    return Capacity(machines=tuple(Share(cpus=count, gpus=gpus) for count in cpus))


def packed(share, capacity):
    """How many processes fit, found by placing one after the other, in ten-thousandths.

    A process has whole GPUs or a part of one.
    """
    cores, part = round(1e4 * share.cpus), round(1e4 * share.gpus)
    count = 0
    for machine in capacity.machines:
        left, devices = round(1e4 * machine.cpus), [10_000] * int(machine.gpus)
        while left >= cores:
            takes = [min(part, 10_000)] * max(1, part // 10_000) if part else []
            for taken in takes:
                fitting = [index for index, has in enumerate(devices) if has >= taken]
                if not fitting:
                    break
                devices[fitting[0]] -= taken
            else:
                left -= cores
                count += 1
                continue
            break
    return count


SHARES = st.integers(1, 4).map(float) | st.integers(500, 9999).map(lambda units: units / 1e4)


@given(
    slots=st.none() | st.integers(-1, 12),
    actors=st.none() | st.integers(-1, 12),
    transport=st.sampled_from(["ray", "inprocess"]),
    chosen=st.just("max") | st.integers(1, 12),
    cpus=SHARES,
    gpus=st.just(0.0) | SHARES,
    there=st.lists(st.tuples(st.integers(1, 8), st.integers(0, 4)), min_size=1, max_size=3),
)
def test_what_is_shared_out_fits_and_what_is_refused_does_not(  # noqa: PLR0913 - one per wish
    slots, actors, transport, chosen, cpus, gpus, there
):
    request = ResourceRequest(slots=slots, transport=transport, actors=actors)
    resources = TrialResources(cpus=cpus, gpus=gpus, slots=chosen)
    capacity = Capacity(machines=tuple(Share(cpus=c, gpus=g) for c, g in there))
    most = packed(Share(cpus=cpus, gpus=gpus), capacity)
    lone = transport == "inprocess" and actors is not None
    wanted = chosen if slots is None else slots
    least = 1 if wanted == "max" else wanted
    needed = least * (1 if actors is None else actors)
    positive = min(least, 1 if actors is None else actors) >= 1
    try:
        allocation = allocate(request, resources, capacity)
    except ConfigError:
        assert lone or not positive or needed > most
    else:
        assert not lone
        assert 1 <= allocation.processes <= most
        assert allocation.slots == wanted or wanted == "max"
        assert allocation.actors == (0 if transport == "inprocess" else actors or 1)
        if wanted == "max":
            assert allocation.processes + max(1, allocation.actors) > most
        booked = [
            sum(bundle.get(name, 0.0) for bundle in allocation.bundles) for name in ("CPU", "GPU")
        ]
        per_trial = max(1, allocation.actors)
        assert booked == pytest.approx([per_trial * cpus, per_trial * gpus])


def test_by_default_every_core_has_a_trial_with_one_actor():
    assert allocate(ResourceRequest(), ONE, machines(4)) == ResourceAllocation(slots=4, actors=1)
    assert allocate(ResourceRequest(actors=2), ONE, machines(5)) == ResourceAllocation(
        slots=2, actors=2
    )
    lone = allocate(ResourceRequest(transport="inprocess"), ONE, machines(3))
    assert lone == ResourceAllocation(slots=3, actors=0)
    assert lone.bundles == [{"CPU": 1.0}]


def test_fractions_share_a_core_exactly():
    """Ten shares of 0.1 fit into a core, though their sum in floating point is not 1."""
    tenth = TrialResources(cpus=0.1, gpus=0.3)
    allocation = allocate(ResourceRequest(), tenth, machines(1, gpus=4))
    assert allocation.slots == 10
    assert allocation.bundles == [{}, {"CPU": 0.1, "GPU": 0.3}]


def test_what_is_left_of_two_gpus_is_no_seat():
    assert allocate(ResourceRequest(), TrialResources(gpus=0.4), machines(8, gpus=2)).slots == 4
    assert allocate(ResourceRequest(), TrialResources(gpus=0.6), machines(8, gpus=3)).slots == 3
    assert allocate(ResourceRequest(), TrialResources(gpus=2), machines(8, gpus=5)).slots == 2


def test_a_process_does_not_span_machines_but_a_trial_may():
    two = TrialResources(cpus=2)
    assert allocate(ResourceRequest(), two, machines(3, 3, 1)).slots == 2
    assert allocate(ResourceRequest(actors=2), two, machines(3, 3, 1)).slots == 1


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (ResourceRequest(actors=5), r"actors must lie in \[1, 4\].*got 5"),
        (ResourceRequest(actors=0), r"actors must lie in \[1, 4\].*got 0"),
        (ResourceRequest(slots=0), "slots must be 1 or more, got 0"),
        (ResourceRequest(slots=5), "slots is 5.*this machine has 4 cores; lower slots to 4$"),
        (ResourceRequest(slots=3, actors=2), "slots is 3.*lower slots to 2 or actors to 1"),
        (ResourceRequest(slots=8, actors=4), "slots is 8.*lower slots to 1$"),
        (ResourceRequest(transport="inprocess", actors=1), "leave actors out"),
    ],
)
def test_what_cannot_fit_is_refused_and_named(wanted, words):
    with pytest.raises(ConfigError, match=words):
        allocate(wanted, ONE, machines(4))


@given(
    cores=st.lists(st.integers(1, 40), min_size=1, max_size=3),
    gpus=st.integers(0, 8),
    slots=st.just("max") | st.integers(1, 12),
)
def test_auto_gives_every_slot_as_much_of_a_gpu_as_lets_all_fit(cores, gpus, slots):
    capacity = machines(*cores, gpus=gpus)
    slots = slots if slots == "max" else min(slots, sum(cores))
    found = allocate(ResourceRequest(), TrialResources(gpus="auto", slots=slots), capacity)
    on_cores = allocate(ResourceRequest(), TrialResources(slots=slots), capacity)
    assert found.slots == on_cores.slots
    assert bool(found.share.gpus) == bool(gpus)
    each = round(1 / found.share.gpus) if gpus else 1  # processes of a GPU; one less is too few
    assert each == 1 or sum(min(n, gpus * (each - 1)) for n in cores) < found.slots


@pytest.mark.parametrize(
    ("resources", "capacity", "words"),
    [
        (
            {"cpus": 8},
            machines(4),
            r"resources\.cpus is 8, but this machine has 4 cores.*4 or less",
        ),
        ({"gpus": 1}, machines(4), r"resources\.gpus is 1, .* has no GPU: set it to 0"),
        ({"gpus": 2}, machines(4, gpus=1), r"gpus is 2, .* has 1 GPU: lower it to 1 or less"),
        ({"cpus": 3}, machines(2, 2), r"has 2 cores at most: lower it to 2 or less"),
        ({"slots": 5}, machines(4), r"resources\.slots is 5: .*lower resources\.slots to 4$"),
        ({"gpus": 0.5}, machines(4), r"gpus is 0\.5, .* has no GPU: set it to 0"),
        (
            {"cpus": 8, "gpus": 1},
            machines(4),
            r"cpus is 8, .* has 4 cores: .* 4 or less; resources\.gpus is 1, .* set it to 0",
        ),
        (
            {"cpus": 4, "gpus": 1},
            Capacity(machines=(Share(cpus=8), Share(cpus=2, gpus=1)), place="the cluster"),
            r"cpus and resources\.gpus ask for 4 cores and 1 GPU on one machine, but the cluster "
            "has 2 machines of 8 cores or 2 cores and 1 GPU",
        ),
    ],
)
def test_a_trial_that_fits_on_no_machine_is_refused_with_what_there_is(resources, capacity, words):
    with pytest.raises(ConfigError, match=words):
        allocate(ResourceRequest(), TrialResources(**resources), capacity)


GPU_PAGE = Path(__file__).resolve().parents[3] / "docs" / "gpu.md"
HEADS, *ROWS = (
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in GPU_PAGE.read_text().splitlines()
    if line.startswith(("| `resources`", "| `{gpus", "| left out"))
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
@pytest.mark.parametrize("column", [1, 2, 3], ids=HEADS[1:])
def test_the_page_on_gpus_has_what_trials_get(row, column):
    resources = TrialResources(**yaml.safe_load(re.findall(r"{.*?}", row[0])[0]))
    gpus = int(re.findall(r"(\d) GPU|$", HEADS[column])[0] or 0)
    if "refused" in row[column]:
        with pytest.raises(ConfigError, match="has no GPU"):
            allocate(ResourceRequest(), resources, machines(16, gpus=gpus))
        return
    found = allocate(ResourceRequest(), resources, machines(16, gpus=gpus))
    cell = row[column]
    assert found.slots == int(cell.split()[0])
    assert bool(found.share.gpus) != ("on cores" in cell)
    if found.share.gpus:
        whole = "a GPU each" in cell or "the whole GPU" in cell
        each = int((re.findall(r"(\d+) on each", cell) or [1 if whole else found.slots])[0])
        assert each == round(1 / found.share.gpus)
