"""Registers a sweep's front as versions of a model in MLflow, with aliases for selected members."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from analysis import format as text
from analysis import layout
from analysis.frames import SweepFrames
from analysis.fronts import front_trials, kind_of
from analysis.ranking import records
from kdtasks.contract.error_text import one_line
from kdtasks.contract.errors import UserError
from sweeps.common.clock import Clock
from sweeps.export.export import Exported, Exporter
from sweeps.export.model_card import write_card
from sweeps.export.records import ExportRecorder
from sweeps.export.selection import along_front, by_word


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """A member of the front.

    Attributes:
        version: Of the registered model; empty if it has none.
        latency_ms: Of its exported networks, batch 1 [ms]; None if it was not exported.
        reason: Why it has no version; empty if it has one.
    """

    trial: int
    aliases: tuple[str, ...]
    version: str = ""
    latency_ms: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Registration:
    """Registers the front of one sweep; existing versions are kept."""

    frames: SweepFrames
    exports: Path
    recorder: ExportRecorder
    clock: Clock

    @cached_property
    def _front(self) -> dict[int, dict[str, Any]]:
        return {int(row["number"]): row for row in records(front_trials(self.frames))}

    def run(self, exporter: Exporter, limit: int, seconds: float) -> Iterator[Member]:
        """Register members of the front and yield each; one that fails has a reason.

        They are ``limit`` at most, and after so many ``seconds`` no further one is exported.

        Raises:
            UserError: If the sweep has no front, or its records cannot be written.
        """
        words, started_s = by_word(self.frames), self.clock.elapsed_s()
        versions = self.recorder.models.versions()
        for number in along_front(self.frames, limit):
            aliases = tuple(word for word, trial in words.items() if trial == number)
            member = Member(trial=number, aliases=aliases)
            if number in versions:
                known = self.recorder.ledger.exports().get(number)
                latency = None if known is None else known.metrics.get(layout.ONNX_LATENCY)
                yield replace(member, version=versions[number], latency_ms=latency)
            elif self.clock.elapsed_s() - started_s > seconds:
                yield replace(member, reason="no time was left; run kdsweep register again")
            else:
                member = self._register(member, exporter)
                if member.version:
                    versions[number] = member.version
                yield member
        if versions:
            self._settle(versions, words)

    def _register(self, member: Member, exporter: Exporter) -> Member:
        out = self.exports / f"trial-{member.trial}"
        try:
            exported = exporter.export(member.trial, out, int8=False)
            card = write_card(exported, self.frames, out)
        except UserError as error:
            return replace(member, reason=str(error))
        except Exception as error:  # noqa: BLE001 - PyTorch's exporter raises any error
            return replace(member, reason=one_line(error))
        latency = self.recorder.enter(exported, card).metrics[layout.ONNX_LATENCY]
        row = self._front[member.trial]
        version = self.recorder.models.register(
            member.trial, self._tags(row), self._about(row, exported)
        )
        return replace(member, version=version, latency_ms=latency)

    def _tags(self, row: Mapping[str, Any]) -> dict[str, str]:
        goals = self.frames.study.objectives
        return {layout.METHOD: kind_of(row)} | {
            goal.metric: text.number(row[goal.metric]) for goal in goals
        }

    def _about(self, row: Mapping[str, Any], exported: Exported) -> str:
        goals = ", ".join(
            f"{goal.label} {text.with_unit(text.number(row[goal.metric]), goal.unit)}"
            for goal in self.frames.study.objectives
        )
        networks = ", ".join(part.name for part in exported.parts)
        return (
            f"Trial {exported.trial.number}, {kind_of(row)}: {goals}. Networks: {networks}, as "
            "ONNX and safetensors; the model card is beside them."
        )

    def _settle(self, versions: Mapping[int, str], words: Mapping[str, int]) -> None:
        name = self.frames.name
        self.recorder.models.settle(
            f"{self.frames.study.title}\n\nStudents on the front of sweep {name} (study "
            f"{self.frames.study.name}), a version per trial. Aliases: "
            f"{', '.join(words)}.",
            {version: number in self._front for number, version in versions.items()},
            {word: versions[trial] for word, trial in words.items() if trial in versions},
        )
