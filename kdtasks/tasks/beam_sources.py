"""Where beams come from: a synthetic street, or files in the layout of DeepSense 6G."""

from pathlib import Path

from kdtasks.beam_format import IGNORED
from kdtasks.errors import DataError
from kdtasks.scenarios.deepsense_data import DeepSenseData, load_deepsense
from kdtasks.scenarios.splits import SPLITS
from kdtasks.scenarios.street_data import StreetData, load_street
from kdtasks.task import Progress, ScenarioData
from kdtasks.tasks.beam_own_data import identity_of

Source = StreetData | DeepSenseData


def source_fingerprint(source: Source) -> str:
    """Return the identity of data; files are not read again while their tables stay."""
    return identity_of(source) if isinstance(source, DeepSenseData) else source.fingerprint


def load_source(source: Source, *, cache_dir: Path, progress: Progress) -> ScenarioData:
    """Return the splits of data.

    Raises:
        DataError: If files cannot be read, or a slot has no label in a whole split: it could not
            be judged.
    """
    if isinstance(source, DeepSenseData):
        loaded = load_deepsense(source, cache_dir=cache_dir, progress=progress)
    else:
        loaded = load_street(source, cache_dir=cache_dir, progress=progress)
    for name in SPLITS:
        unknown = (getattr(loaded, name)["label"] == IGNORED).all(axis=0)
        if unknown.any():
            raise DataError(
                f"the {name} split has no label for slot t{int(unknown.argmax())}: its tables know "
                "the beams of fewer slots; take tables with three future beams"
            )
    return loaded
