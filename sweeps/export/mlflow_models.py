"""Exported students in MLflow: files and metrics of trials' runs, versions in the registry."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis import layout
from kdtasks.contract.errors import UserError
from sweeps.common.records import ExportRecord
from sweeps.export.selection import WORDS
from sweeps.ledger.paths import SweepFolder
from sweeps.tracking.client import (
    DatasetInput,
    Metric,
    MlflowClient,
    RunTag,
    answering,
    pages,
    rename,
    sweep_runs,
)
from sweeps.tracking.database_file import follow
from sweeps.tracking.runs import trial_key

STUDENT_DIR = "student"
"""Folder of a trial's artifacts with its exported student."""


@dataclass(frozen=True)
class Models:
    """The exported students of one sweep in MLflow.

    The registered model has the sweep's name and a version per trial. Writing twice changes
    nothing.

    Attributes:
        runs: MLflow's ids of the sweep's runs, by key.
    """

    client: MlflowClient
    name: str
    runs: Mapping[str, str]

    @classmethod
    def open(cls, folder: SweepFolder, tracking_uri: str | None) -> "Models":
        """Find the runs of a sweep.

        Raises:
            UserError: If MLflow does not answer or does not have exactly one such sweep.
        """
        with answering():
            follow(tracking_uri or folder.tracking_uri)
        client, parent, runs = sweep_runs(folder, tracking_uri)
        if (before := str(parent.info.run_name)) != folder.name:
            with answering():
                rename(client, parent.info.run_id, before, folder.name)
        found = {run.data.tags.get(layout.CHILD_KEY, ""): run.info.run_id for run in runs}
        return cls(client, folder.name, found)

    def attach(
        self,
        export: ExportRecord,
        inputs: Sequence[DatasetInput],
        files: Mapping[str, Sequence[Path]],
    ) -> None:
        """Attach metrics, data and files of an exported student to its trial's run.

        Raises:
            UserError: If MLflow does not answer or has no such run.
        """
        run_id, when_ms = self._run(export.trial), export.exported_ms
        numbers = [Metric(name, value, when_ms, 0) for name, value in export.metrics.items()]
        tags = [RunTag(layout.MEASURED_ON, export.measured_on)]
        with answering():
            self.client.log_batch(run_id, metrics=numbers, tags=tags)
            self.client.log_inputs(run_id, list(inputs))
            for folder, paths in files.items():
                for path in paths:
                    self.client.log_artifact(run_id, str(path), place_of(folder))

    def _run(self, trial: int) -> str:
        run_id = self.runs.get(trial_key(trial))
        if run_id is None:
            raise UserError(
                f"MLflow has no run of trial {trial} of {self.name}; kdsweep resume "
                f"{shlex.quote(self.name)} writes the missing entries"
            )
        return run_id

    def versions(self) -> dict[int, str]:
        """Return the model's versions, by trial; empty if there is no model.

        Raises:
            UserError: If MLflow does not answer.
        """
        query = f"name = '{self.name}'"
        with answering():
            search = self.client.search_model_versions
            found = list(pages(lambda token: search(query, page_token=token)))
        known = [(version, version.tags.get(layout.TRIAL_NUMBER, "")) for version in found]
        # versions of runs that were deleted and written again are invalid
        return {
            int(trial): str(version.version)
            for version, trial in known
            if trial and self.runs.get(trial_key(int(trial))) == version.run_id
        }

    def register(self, trial: int, tags: Mapping[str, str], about: str) -> str:
        """Register a trial's exported student as a version of the sweep's model; return it.

        Raises:
            UserError: If MLflow does not answer, or rejects the sweep's name for a model.
        """
        run_id = self._run(trial)
        with answering():
            if not self.client.search_registered_models(f"name = '{self.name}'", max_results=1):
                self.client.create_registered_model(self.name)
            root = self.client.get_run(run_id).info.artifact_uri
            made = self.client.create_model_version(
                self.name,
                f"{root}/{STUDENT_DIR}",
                run_id,
                tags={layout.TRIAL_NUMBER: str(trial), **tags},
                description=about,
            )
        return str(made.version)

    def settle(self, about: str, on_front: Mapping[str, bool], aliases: Mapping[str, str]) -> None:
        """Set description and aliases of the model, and whether each version is on the front.

        Other aliases of `sweeps.export.selection` are removed.

        Raises:
            UserError: If MLflow does not answer.
        """
        with answering():
            self.client.update_registered_model(self.name, about)
            for version, flag in on_front.items():
                value = "true" if flag else "false"
                self.client.set_model_version_tag(self.name, version, layout.ON_FRONT, value)
            there = self.client.get_registered_model(self.name).aliases
            for alias in WORDS:
                if alias in aliases:
                    self.client.set_registered_model_alias(self.name, alias, aliases[alias])
                elif alias in there:
                    self.client.delete_registered_model_alias(self.name, alias)


def place_of(folder: str) -> str:
    """Return the folder of an exported student's files in its trial's run."""
    return f"{STUDENT_DIR}/{folder}" if folder else STUDENT_DIR
