"""A trial that is stopped early gives its node actors back: warm, and no longer at its work."""

import time
from collections.abc import Sequence
from typing import Any

import pytest
import ray
from toy_network import ToyNetworkTask

from kdtasks.contract.task import Outcome
from sweeps.common.events import Training
from sweeps.nodes.conductor import conduct
from sweeps.nodes.ray_actors import NodeActors
from sweeps.run.ray_cluster import local_ray

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
]

TASK = ToyNetworkTask()
EPOCH_S = 0.5


def over_ray(
    actors: NodeActors, params: dict[str, Any], rungs: Sequence[float] = ()
) -> Training[Outcome]:
    full = TASK.complete(params)
    data = TASK.load_scenario({}, cache_dir=None, progress=lambda *_: None)
    transport = actors.deploy(full, (ray.put(data.train), ray.put(data.val)), None)
    return conduct(TASK, full, transport, rungs)


@pytest.mark.parametrize("topology", ["none", "mutual"])
def test_the_next_trial_finds_warm_and_idle_actors(topology: str) -> None:
    with local_ray(2):
        actors = NodeActors("toy_network:ToyNetworkTask", 2)
        actors.start()
        actors.warm_up()
        before = list(actors._actors)
        for _ in range(3):
            # alone or not, this would train for minutes
            long = {"topology": topology, "epochs": 500, "rounds": 100, "epoch_s": EPOCH_S}
            work = over_ray(actors, {**long, "method": "vanilla"})
            next(work)
            begun_s = time.monotonic()
            work.close()
            short = over_ray(actors, {"topology": "self", "rounds": 1, "method": "vanilla"})
            assert list(short) != []
            # an epoch that had begun is finished, and not the 250 s of the others
            assert time.monotonic() - begun_s < 60.0
            assert actors._actors == before
        # stopped at a rung, where nodes pause and no call is under way
        paused = over_ray(actors, {"topology": "self", "epochs": 4, "method": "vanilla"}, (0.5,))
        assert any("bytes_over_air" in report.metrics for report in paused)
        paused.close()
        assert list(over_ray(actors, {"topology": "self", "rounds": 1, "method": "vanilla"}))
        assert actors._actors == before
        actors.stop()
