"""Deployments of the toy network in this process."""

from pathlib import Path
from typing import Any

from toy_network import ToyNetworkTask

from kdtasks.contract.reports import result_of
from kdtasks.contract.task import Outcome
from sweeps.nodes.conductor import conduct
from sweeps.nodes.transport import InProcessTransport

TASK = ToyNetworkTask()
DATA = TASK.load_scenario({}, cache_dir=Path(), progress=lambda *_: None)


def deploy(**changes: Any) -> Outcome:
    """Run a trial with these parameters to its end."""
    params = TASK.complete(changes)
    teacher = None
    if TASK.teacher_fingerprint(params) is not None:
        teacher = result_of(TASK.train_teacher(params, DATA.train, DATA.val))
    transport = InProcessTransport(
        "toy_network:ToyNetworkTask", (DATA.train, DATA.val), teacher, params
    )
    return result_of(conduct(TASK, params, transport))
