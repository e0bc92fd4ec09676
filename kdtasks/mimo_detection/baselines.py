"""References of MIMO detection that nothing is trained for."""

from kdtasks.contract.task import Baseline, ScenarioData, prefixed
from kdtasks.learning.training import batches
from kdtasks.mimo_detection.link.bit_errors import BitErrors, compare, counted
from kdtasks.mimo_detection.link.link import MimoLink, Received
from kdtasks.mimo_detection.link.sionna_detectors import detect, names_for
from kdtasks.mimo_detection.methods.samples import ENOUGH_ERRORS, PARTS
from kdtasks.mimo_detection.scores import Count, scores
from kdtasks.mimo_detection.settings import MimoSettings


def baselines_of(settings: MimoSettings, data: ScenarioData) -> list[Baseline]:
    """Return Sionna's detectors on validation and test split, with the same channel estimates."""
    link = settings.link
    found = []
    for name in names_for(link):
        count = _counting(name, link)
        val, test = scores(data.val, count), scores(data.test, count)
        found.append(
            Baseline(
                name=f"{name} {link.name} at {settings.target_snr_db:g} dB",
                params={"target": link.name, "detector": name},
                metrics={**prefixed("val", val), **prefixed("test", test)},
            )
        )
    return found


def _counting(name: str, link: MimoLink) -> Count:
    def count(seen: Received) -> BitErrors:
        parts = (seen[part] for part in batches(len(seen), PARTS))
        errors = (compare(detect(name, link, part), part.bits_BNM) for part in parts)
        return counted(errors, stop_at=ENOUGH_ERRORS)

    return count
