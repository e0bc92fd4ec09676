"""What tasks cost together in one network, and how near each comes to its own best."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kdtasks.contract.errors import ConfigError
from kdtasks.contract.settings import Settings, param, unlike_default
from kdtasks.contract.task import KDTask, MetricInfo, down

WORST_SHARE = "worst_share"

WHOLE_METRICS: dict[str, MetricInfo] = {
    "bytes_over_air": down("B", "of all tasks, sent over all links, both ways"),
    "energy_j": down("J", "of all tasks, simulated energy of all links"),
    "deployment_s": down(
        "s",
        "simulated time by which the last edge of the last task can infer, at most: the server "
        "works for tasks in their order",
    ),
    "server_teacher_bytes": down("B", "weights of the teachers of all tasks at the server"),
    "server_peak_bytes": down(
        "B", "teachers of all tasks at the server, and its training that takes most beside them"
    ),
    f"val_{WORST_SHARE}": MetricInfo(
        unit="",
        direction="maximize",
        description="least share over tasks of its own best, at most 1; needs own_bests",
    ),
}
"""What a network of tasks reports beside the metrics of its tasks."""


class WholeSettings(Settings):
    """The parameters of a network that belong to none of its tasks."""

    server_link_mbps: float = param(
        0.0,
        low=0,
        decides="cost",
        unit="Mbit/s",
        help="rate of a link of the server that all messages of all tasks pass; 0: no limit",
    )
    own_bests: str = param(
        "",
        when=unlike_default("own_bests"),
        decides="cost",
        help="of each task its metric and the best value of it alone, tasks with commas between",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What the deployment of one task costs alone; nothing of a task without a network.

    Attributes:
        sent_bytes: Over all its links, both ways [B].
        energy_j: Of these links [J].
        deployment_s: Time until its last edge can infer [s].
        server_s: Of this, the time that the server computes [s].
        teacher_bytes: Weights of its teachers [B].
        training_bytes: Memory of training at the server [B].
    """

    sent_bytes: float = 0.0
    energy_j: float = 0.0
    deployment_s: float = 0.0
    server_s: float = 0.0
    teacher_bytes: float = 0.0
    training_bytes: float = 0.0


def together(each: Sequence[Cost], link_mbps: float = 0.0) -> dict[str, float]:
    r"""Return what deployments cost that share a server, in the order of their precedence.

    Bytes and energy add up. The server leaves the work of a task whenever an earlier one needs it,
    and so does its link of rate R, if it has one, which every message passes beside that of its
    edge. Any chain of steps of task k is then delayed by what tasks before it take of the server
    and of its link, and by its own bytes on that link, at most, so that with L = 8 bytes / R

    .. math:: T = \max_k \Big(T_k + L_k + \sum_{j<k} (S_j + L_j)\Big)

    for the time S of the server and the time T of each task alone, without the sum for a task that
    needs neither server nor link. It is that time exactly if the server's part comes first, as
    where it trains the students. The server holds the teachers of all
    tasks all the time, and trains for one task at a time:

    .. math:: M = \sum_k M_k + \max_k P_k

    where P may count the task's own teacher again, so that this, too, is the most that is needed.

    Args:
        each: The costs of each task alone.
        link_mbps: R [Mbit/s]; 0 for no limit.
    """
    time_s = waited_s = 0.0
    for cost in each:
        link_s = 8.0 * cost.sent_bytes / (1e6 * link_mbps) if link_mbps else 0.0
        waits_s = waited_s if link_s or cost.server_s else 0.0
        time_s = max(time_s, waits_s + link_s + cost.deployment_s)
        waited_s += link_s + cost.server_s
    held = sum(cost.teacher_bytes for cost in each)
    return {
        "bytes_over_air": sum(cost.sent_bytes for cost in each),
        "energy_j": sum(cost.energy_j for cost in each),
        "deployment_s": time_s,
        "server_teacher_bytes": held,
        "server_peak_bytes": held + max(cost.training_bytes for cost in each),
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnBest:
    """The best value of a task alone.

    Attributes:
        metric: The metric, without its split.
        info: What it means.
        value: The value.
    """

    metric: str
    info: MetricInfo
    value: float

    def share(self, found: float) -> float:
        """Return the share that a value has of this one, at most 1.

        It is ``found / value`` where more is better and ``value / found`` where less is; of values
        in dB the quotient of what they stand for, 10 to the power of a tenth.
        """
        ours, best = found, self.value
        if self.info.unit == "dB":
            ours, best = 10.0 ** (found / 10.0), 10.0 ** (self.value / 10.0)
        if self.info.direction == "maximize":
            return min(1.0, ours / best)
        return 1.0 if ours <= best else best / ours


def own_bests(listed: str, tasks: Mapping[str, KDTask]) -> dict[str, OwnBest]:
    """Return the own best of every task, as ``own_bests`` lists them; none of an empty list.

    Raises:
        ConfigError: Naming the entry and what would be accepted.
    """
    found: dict[str, OwnBest] = {}
    for entry in listed.split(",") if listed else ():
        name, metric, value = _words(entry)
        if name not in tasks or name in found:
            raise ConfigError(f"own_bests: {entry.strip()!r}: name each of {', '.join(tasks)} once")
        known = tasks[name].metrics
        judged = sorted(n.removeprefix("val_") for n in known if n.startswith("val_"))
        if metric not in judged:
            raise ConfigError(
                f"own_bests: task {name} has no metric {metric!r}; take one of {', '.join(judged)}"
            )
        info = known[f"val_{metric}"]
        if info.unit != "dB" and value <= 0.0:
            raise ConfigError(f"own_bests: {entry.strip()!r}: no share of {value:g}; above 0")
        found[name] = OwnBest(metric=metric, info=info, value=value)
    if found and (missing := [name for name in tasks if name not in found]):
        raise ConfigError(f"own_bests={listed!r} lacks {', '.join(missing)}: list every task")
    return found


def _words(entry: str) -> tuple[str, str, float]:
    try:
        name, metric, number = entry.split()
        if not math.isfinite(value := float(number)):
            raise ValueError(number)
    except ValueError:
        raise ConfigError(
            f"own_bests: {entry.strip()!r} must be a task, its metric without val_, and a number, "
            "such as csi-feedback nmse_db -12.5"
        ) from None
    return name, metric, value
