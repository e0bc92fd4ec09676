"""Writes sweeps to MLflow: one run per sweep, below it one per trial, teacher, baseline etc.

Exported students are written by `sweeps.export.mlflow_models`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from analysis import layout
from kdtasks.contract.errors import ConfigError
from search_spaces.study import Study
from sweeps.ledger.paths import SweepFolder
from sweeps.ledger.sqlite_file import artifacts_beside, sqlite_path
from sweeps.tracking.client import (
    DatasetInput,
    Metric,
    MlflowClient,
    Param,
    Run,
    RunTag,
    TrackingError,
    answering,
    children_of,
    connect,
    front_end,
    own_run,
    rename,
)
from sweeps.tracking.database_file import follow, is_whole
from sweeps.tracking.runs import ChildRun, Status
from sweeps.tracking.views import KIND, NOTE, described, views

MAX_PARAMS, MAX_METRICS = 100, 800
"""Parameters and metrics per request: servers accept at most 100 parameters and 1000 entries."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Written:
    """What MLflow has of a run.

    Attributes:
        metrics: Names of metrics of which all values are written.
    """

    run_id: str
    ended: bool
    tags: Mapping[str, str]
    metrics: frozenset[str]

    @classmethod
    def of(cls, run: Run) -> "_Written":
        ended = run.info.status != "RUNNING"
        return cls(
            run_id=str(run.info.run_id),
            ended=ended,
            tags=dict(run.data.tags),
            metrics=frozenset(run.data.metrics if ended else ()),
        )


class Tracker:
    """Writes one sweep to MLflow; writing a run twice changes nothing."""

    def __init__(self, client: MlflowClient, experiment_id: str, run_id: str) -> None:
        self._client = client
        self._experiment_id = experiment_id
        self._run_id = run_id
        self._runs: dict[str, str] = {}

    @classmethod
    def start(
        cls,
        folder: SweepFolder,
        tracking_uri: str | None,
        study: Study,
        started_ms: int,
        sweep_id: str = "",
    ) -> "Tracker":
        """Create the sweep's run, and the database if it is missing.

        Raises:
            UserError: If MLflow does not answer, or already has a sweep of this name.
        """
        with answering():
            follow(tracking_uri or folder.tracking_uri)
            client = connect(folder, tracking_uri)
            if own_run(client, folder, tracking_uri, "") is not None:
                known = f"MLflow already has a sweep {folder.name}"
                raise ConfigError(f"{known}; choose another --name")
            experiment_id = _experiment(client, study.name, *_artifacts(folder, tracking_uri))
            run = client.create_run(
                experiment_id,
                start_time=started_ms,
                run_name=folder.name,
                tags={
                    layout.ROLE: layout.ROLE_SWEEP,
                    layout.SWEEP_ID: sweep_id,
                    "mlflow.source.name": f"kdsweep run {study.name}",
                    NOTE: _about(study),
                },
            )
        return cls(client, experiment_id, run.info.run_id)

    @classmethod
    def resume(
        cls, folder: SweepFolder, tracking_uri: str | None, sweep_id: str
    ) -> "Tracker | None":
        """Continue writing a sweep that MLflow has; None if it has none.

        Raises:
            UserError: If MLflow does not answer, or has another sweep of this name.
        """
        if tracking_uri is None and not is_whole(folder.path / layout.MLFLOW_FILE):
            return None
        with answering():
            follow(tracking_uri or folder.tracking_uri)
            client = connect(folder, tracking_uri)
            parent = own_run(client, folder, tracking_uri, sweep_id)
            if parent is None:
                return None
            if (before := parent.info.run_name) != folder.name:
                rename(client, parent.info.run_id, before, folder.name)
            tracker = cls(client, str(parent.info.experiment_id), parent.info.run_id)
            tracker._read()
            client.update_run(parent.info.run_id, status="RUNNING")
        return tracker

    def _read(self) -> dict[str, _Written]:
        """Return what MLflow has below the sweep's run, by key."""
        found: dict[str, _Written] = {}
        for run in children_of(self._client, self._experiment_id, self._run_id):
            key = run.data.tags.get(layout.CHILD_KEY, "")
            if key in found:  # written twice: the answer to the first write was lost
                self._client.delete_run(run.info.run_id)
            else:
                found[key] = _Written.of(run)
        self._runs = {key: written.run_id for key, written in found.items()}
        return found

    def write(self, child: ChildRun) -> None:
        """Write an ended run; existing entries are unchanged."""
        run_id = self._runs.get(child.key)
        self._write(child, None if run_id is None else _Written.of(self._client.get_run(run_id)))

    def _write(self, child: ChildRun, written: _Written | None) -> None:
        if written is None:
            written = self._create(child)
        else:
            self._tag(written, child.tags)
        metrics = child.metrics.items()
        fresh = {name: value for name, value in metrics if name not in written.metrics}
        params = {} if written.ended else child.params
        self._log(written.run_id, _points(child, fresh), child.ended_ms, params)
        if child.traceback:
            self._client.log_text(written.run_id, child.traceback, layout.TRACEBACK_FILE)
        self._client.set_terminated(written.run_id, status=child.status, end_time=child.ended_ms)

    def _create(self, child: ChildRun) -> _Written:
        run = self._client.create_run(
            self._experiment_id,
            start_time=child.started_ms,
            run_name=child.name,
            tags={layout.PARENT: self._run_id, **child.tags},
        )
        self._runs[child.key] = str(run.info.run_id)
        return _Written.of(run)

    def _log(
        self,
        run_id: str,
        points: Iterable[tuple[str, float, int]],
        time_ms: int,
        params: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        # with a fixed time and step, writing a metric again adds no point to its history
        numbers = [Metric(name, value, time_ms, step) for name, value, step in points]
        texts = [Param(name, value) for name, value in params.items()]
        while numbers or texts:
            self._client.log_batch(run_id, metrics=numbers[:MAX_METRICS], params=texts[:MAX_PARAMS])
            del numbers[:MAX_METRICS], texts[:MAX_PARAMS]

    def write_missing(self, children: Iterable[ChildRun]) -> None:
        """Write runs, and tags of runs, that MLflow does not have."""
        found = self._read()
        for child in children:
            written = found.get(child.key)
            if written and written.ended and written.metrics.issuperset(child.metrics):
                self._tag(written, child.tags)
            else:
                self._write(child, written)

    def _tag(self, written: _Written, tags: Mapping[str, str]) -> None:
        fresh = [RunTag(*tag) for tag in tags.items() if tag not in written.tags.items()]
        if fresh:
            self._client.log_batch(written.run_id, tags=fresh)
        if layout.REASON in written.tags and layout.REASON not in tags:
            # it failed at first, and succeeded later
            self._client.delete_tag(written.run_id, layout.REASON)

    def hypervolume(self, finished: int, value: float, time_ms: int) -> None:
        """Add a point to the sweep's series of hypervolumes."""
        metric = Metric(layout.HYPERVOLUME, value, time_ms, finished)
        self._client.log_batch(self._run_id, metrics=[metric])

    def hypervolumes(self) -> set[int]:
        """Return the numbers of finished trials at which the series has a point."""
        history = self._client.get_metric_history(self._run_id, layout.HYPERVOLUME)
        return {metric.step for metric in history}

    def facts(self, metrics: Mapping[str, float], time_ms: int) -> None:
        """Write metrics of the sweep."""
        self._log(self._run_id, [(name, value, 0) for name, value in metrics.items()], time_ms)

    def text(self, name: str, text: str) -> None:
        """Attach a text file to the sweep."""
        self._client.log_text(self._run_id, text, name)

    def files(self, paths: Sequence[Path], folder: str) -> None:
        """Attach files to the sweep, below ``folder``."""
        for path in paths:
            self._client.log_artifact(self._run_id, str(path), folder)

    def data(self, inputs: Sequence[DatasetInput]) -> None:
        """Record the data of the sweep; repeated calls change nothing."""
        self._client.log_inputs(self._run_id, list(inputs))

    def offer_views(self, study: Study) -> list[tuple[str, str]]:
        """Store views of the sweep; return their titles and addresses."""
        shown_by = front_end(self._client)
        ids = {"experiment_id": self._experiment_id, "run_id": self._run_id}
        offered = list(views(study, **ids, front_end=shown_by))
        for tag, state in {view.tag: view.state for view in offered}.items():
            self._client.set_experiment_tag(self._experiment_id, tag, state)
        about = described(_about(study), offered)
        self._client.log_batch(self._run_id, tags=[RunTag(NOTE, about)])
        return [(view.title, view.fragment) for view in offered]

    def discard(self) -> None:
        """Delete the sweep's empty run, so that its name is free."""
        self._client.delete_run(self._run_id)

    def end(self, status: Status, time_ms: int) -> None:
        """Close the sweep's run."""
        self._client.set_terminated(self._run_id, status=status, end_time=time_ms)


def _about(study: Study) -> str:
    return f"{study.title}\n\n{study.description}".strip()


def _points(child: ChildRun, metrics: Mapping[str, float]) -> list[tuple[str, float, int]]:
    """Return name, value and step of a run's metrics and curves; without a curve the step is 0."""
    points = []
    for name, value in metrics.items():
        curve = child.curves.get(name) or [(0, value)]
        points += [(name, at, epoch) for epoch, at in curve]
    return points


def _artifacts(folder: SweepFolder, tracking_uri: str | None) -> tuple[str | None, dict[str, str]]:
    """Return the root of artifacts and tags of where it is; None leaves it to the server."""
    uri = tracking_uri or folder.tracking_uri
    if uri.startswith(("http://", "https://", "databricks")):
        return None, {}
    # MLflow's default is the working directory. A database may hold several sweeps, so their
    # artifacts are beside it, or beside the sweeps' folders.
    if (database := sqlite_path(uri)) is None:
        return (folder.path.parent / "artifacts").as_uri(), {}
    return artifacts_beside(database), dict([layout.BESIDE])


def _experiment(client: MlflowClient, name: str, root: str | None, tags: dict[str, str]) -> str:
    """Return the experiment of a study, in which all its sweeps can be compared."""
    if (known := client.get_experiment_by_name(name)) is None:
        try:
            return str(client.create_experiment(name, root, dict([KIND]) | tags))
        except TrackingError:
            # another sweep of the study created it meanwhile, or it cannot be created
            if (known := client.get_experiment_by_name(name)) is None:
                raise
    return str(known.experiment_id)
