"""Parameters and metrics about what a deployment reveals of the samples that it was trained on."""

from kdtasks.contract.settings import Settings, When, param, unlike_default
from kdtasks.contract.task import MetricInfo, down

NETWORK = When(lambda s: s.networked, "a network")
MEASURED = When(lambda s: s.networked and s.privacy_share > 0, "a privacy_share above 0")
NOISY = When(
    lambda s: s.networked and (s.dp_sigma > 0 or s.dp_epsilon > 0), "a dp_sigma or dp_epsilon"
)


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
    dp_sigma: float = param(
        0.0,
        low=0,
        when=(NETWORK, unlike_default("dp_sigma")),
        help="noise on exchanged outputs or statistics, in units of their sensitivity; 0: none",
    )
    dp_epsilon: float = param(
        0.0,
        low=0,
        when=(NETWORK, unlike_default("dp_epsilon")),
        help="that all messages with noise have together, in place of dp_sigma; 0: not set",
    )
    dp_delta: float = param(1e-5, above=0, below=1, when=NOISY, help="of dp_epsilon and epsilon")
    dp_clip: float = param(
        1.0, above=0, when=NOISY, help="norm to which a sample's outputs or codeword are cut"
    )


_AREA = "area under the ROC curve of telling members from non-members; 0.5 is guessing"

PRIVACY_METRICS: dict[str, MetricInfo] = {
    "epsilon": down(
        "", "of the messages with noise alone, at dp_delta: weights are sent without any"
    ),
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
"""The guarantee of noise, and what `sweeps.nodes.privacy.audit` reports."""
