"""Parameters and metrics about what a deployment reveals of the samples that it was trained on."""

from kdtasks.contract.settings import Settings, When, param, unlike_default
from kdtasks.contract.task import MetricInfo, down

NETWORK = When(lambda s: s.networked, "a network")
MEASURED = When(lambda s: s.networked and s.privacy_share > 0, "a privacy_share above 0")


class PrivacySettings(Settings):
    """What `NetworkSettings` has about privacy."""

    privacy_share: float = param(
        0.0,
        low=0,
        high=0.5,
        when=(NETWORK, unlike_default("privacy_share")),
        decides=("teacher", "student"),
        key="",
        help="share of the training samples that no node gets: non-members, on which leaks are "
        "measured; 0: not measured",
    )
    shadow_models: int = param(
        4,
        low=1,
        high=64,
        when=MEASURED,
        unit="models",
        help="that an attacker trains on other samples, to know how hard each sample is",
    )


_AREA = "area under the ROC curve of telling members from non-members; 0.5 is guessing"

PRIVACY_METRICS: dict[str, MetricInfo] = {
    "privacy_auc": down("", f"what leaves a node, calibrated by shadow models: {_AREA}"),
    "privacy_auc_low": down("", "lower end of its 95 % bootstrap interval over samples"),
    "privacy_auc_high": down("", "upper end of that interval"),
    "privacy_tpr_1fpr": down("", "members found by that attack where 1 % of non-members are taken"),
    "privacy_tpr_1fpr_low": down("", "lower end of its 95 % bootstrap interval over samples"),
    "privacy_tpr_1fpr_high": down("", "upper end of that interval"),
    "privacy_threshold_auc": down("", f"what leaves a node, by its error alone: {_AREA}"),
    "privacy_teacher_auc": down("", f"the teacher, sent or not, calibrated: {_AREA}"),
    "privacy_student_auc": down("", f"the student, sent or not, calibrated: {_AREA}"),
    "privacy_members": down("", "samples that were trained on, among those measured"),
    "privacy_nonmembers": down("", "samples of the same places that nobody has, measured beside"),
}
"""What `sweeps.nodes.privacy.audit` reports with a ``privacy_share``."""
