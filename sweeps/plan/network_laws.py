"""Laws of a task's capabilities, checked on the shares of a deployment."""

from functools import partial

from kdtasks.contract.collaboration import (
    FineTunes,
    Guidance,
    LearnsOnShares,
    Learnt,
    SendsTeacher,
    Shares,
    SharesOutputs,
    Stage,
    TensorSpec,
)
from kdtasks.contract.reports import result_of
from kdtasks.contract.task import Arrays, digest
from sweeps.plan.evidence import Evidence, tried
from sweeps.plan.laws import Law, Subject, changed_params, differing, law, of_trial

NETWORK_LAWS: list[Law] = []
"""In the order of checking."""


def _able(*capabilities: type[LearnsOnShares]) -> Subject:
    """Identify a law about deployments of tasks with these capabilities."""

    def subject(evidence: Evidence) -> str | None:
        networked = evidence.config.get("topology", "none") != "none"
        able = all(isinstance(evidence.task, one) for one in capabilities)
        return of_trial(evidence) if networked and able else None

    return subject


_networked, _further, _imitates = _able(), _able(FineTunes), _able(SharesOutputs)


def _learns(evidence: Evidence) -> LearnsOnShares:
    assert isinstance(evidence.task, LearnsOnShares)
    return evidence.task


def _shares(evidence: Evidence) -> Shares:
    return _learns(evidence).share_out(evidence.config, evidence.data.train, "train")


def _misfit(specs: dict[str, TensorSpec], arrays: Arrays) -> str:
    """Return how arrays differ from their specification; empty if they match."""
    if specs.keys() != arrays.keys():
        return f"{sorted(specs.keys() ^ arrays.keys())} are missing on one side"
    found = {name: spec.misfit(arrays[name]) for name, spec in specs.items()}
    return next((f"{name} has {wrong}" for name, wrong in found.items() if wrong), "")


@law(NETWORK_LAWS, _networked)
def edge_params_are_complete(evidence: Evidence) -> str:
    """The parameters of an edge are complete."""
    task = _learns(evidence)
    own = task.edge_params(evidence.config, 0)
    return changed_params(own, tried("complete of an edge", partial(task.complete, own)))


@law(NETWORK_LAWS, _networked)
def shares_are_disjoint(evidence: Evidence) -> str:
    """No training sample belongs to two nodes, and all splits have the same number of edges."""
    task, data = _learns(evidence), evidence.data
    shares = _shares(evidence)
    given = sum(task.sample_count(share) for share in (shares.server, *shares.edges))
    if given > task.sample_count(data.train):
        return f"nodes have {given} samples together, of {task.sample_count(data.train)}"
    edges = len(task.share_out(evidence.config, data.val, "val").edges)
    counts = f"{len(shares.edges)} on training, {edges} on validation"
    return "" if edges == len(shares.edges) else counts


@law(NETWORK_LAWS, _networked)
def samples_are_as_announced(evidence: Evidence) -> str:
    """Samples that a node receives match sample_tensors."""
    task, shares = _learns(evidence), _shares(evidence)
    own, params = shares.edges[0], task.edge_params(evidence.config, 0)
    sent = task.samples_for(params, task.sample_slice(shares.server, 0, 1))
    return _misfit(task.sample_tensors(params, own), sent) or task.sample_misfit(sent)


def _train_on(
    evidence: Evidence, stream: str, weights: Arrays, guidance: Guidance | None = None
) -> Learnt:
    task = evidence.task
    assert isinstance(task, FineTunes)
    params, data = task.edge_params(evidence.config, 0), _shares(evidence).edges[0]
    stage = Stage(epochs=1, rate=1e-3, guidance_weight=0.0, server_part=True, stream_name=stream)
    return result_of(task.train_on(params, weights, data, guidance, stage))


@law(NETWORK_LAWS, _further)
def streams_are_of_nodes(evidence: Evidence) -> str:
    """Every node has its own random stream."""
    one, same, other = (_train_on(evidence, name, {}).weights for name in ("a", "a", "b"))
    if wrong := differing(one, same):
        return wrong
    same_digest = digest(one) == digest(other)
    return "stream_name has no effect; draw from a generator of that name" if same_digest else ""


@law(NETWORK_LAWS, _further)
def students_are_as_announced(evidence: Evidence) -> str:
    """A student has the tensors of student_tensors."""
    task = _learns(evidence)
    specs = task.tensors(task.edge_params(evidence.config, 0), None)
    return _misfit(specs, _train_on(evidence, "a", {}).weights)


@law(NETWORK_LAWS, _further)
def train_on_writes_nothing(evidence: Evidence) -> str:
    """Fine-tuning does not modify the received weights."""
    received = _train_on(evidence, "a", {}).weights
    before = digest(received)
    _train_on(evidence, "b", received)
    return "" if digest(received) == before else "they were modified; work on a copy"


def _outputs(evidence: Evidence) -> Arrays:
    task = evidence.task
    assert isinstance(task, SharesOutputs)
    params, samples = task.edge_params(evidence.config, 0), _shares(evidence).edges[0]
    return task.outputs(params, _train_on(evidence, "a", {}).weights, samples)[0]


@law(NETWORK_LAWS, _imitates)
def outputs_are_as_announced(evidence: Evidence) -> str:
    """Outputs match output_tensors, one per sample, and blending equal outputs changes nothing."""
    task = evidence.task
    assert isinstance(task, SharesOutputs)
    params, samples = task.edge_params(evidence.config, 0), _shares(evidence).edges[0]
    found = _outputs(evidence)
    counts = {len(array) for array in found.values()} - {task.sample_count(samples)}
    uneven = f"{counts} outputs of {task.sample_count(samples)} samples" if counts else ""
    wrong = _misfit(task.output_tensors(params), found) or uneven
    return wrong or differing(found, task.blend(params, [found, found]))


@law(NETWORK_LAWS, _imitates)
def no_weight_is_no_guidance(evidence: Evidence) -> str:
    """Guidance with weight 0 has no effect."""
    guidance = Guidance(samples=_shares(evidence).edges[0], outputs=_outputs(evidence))
    guided = _train_on(evidence, "a", {}, guidance)
    return differing(guided.weights, _train_on(evidence, "a", {}).weights)


@law(NETWORK_LAWS, lambda one: _able(SendsTeacher)(one) if one.taught else None)
def teachers_are_as_announced(evidence: Evidence) -> str:
    """A teacher has the tensors of teacher_tensors."""
    task = evidence.task
    assert isinstance(task, SendsTeacher)
    teacher = task.teacher_of(evidence.config, evidence.teaching[0], 0)
    extras, _ = task.teacher_extras(evidence.config, teacher)
    return _misfit(task.teacher_tensors(evidence.config), teacher.weights) or _misfit(
        task.extra_tensors(evidence.config), extras
    )
