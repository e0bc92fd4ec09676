"""How one CSI student is trained and judged, wherever that happens.

From the settings of the CSI feedback task to its data, networks and plan of training.
"""

from dataclasses import replace
from functools import partial

from torch import Tensor, nn

from kdtasks.contract.errors import ConfigError
from kdtasks.contract.task import Arrays, TeacherArtifact
from kdtasks.csi_feedback.data.dataset import CsiData
from kdtasks.csi_feedback.data.named_sites import CSI_SITES
from kdtasks.csi_feedback.methods import autoencoder_kd, codeword_kd, encoder_kd, vanilla
from kdtasks.csi_feedback.methods.codewords import codeword_loss
from kdtasks.csi_feedback.methods.ip_encoder_kd import method as ip_encoder_kd
from kdtasks.csi_feedback.methods.job import Job, Method, Plan, Teacher
from kdtasks.csi_feedback.models.autoencoder import Autoencoder
from kdtasks.csi_feedback.models.crnet import CRNetDecoder, CRNetEncoder
from kdtasks.csi_feedback.models.custom_encoder import own_encoder
from kdtasks.csi_feedback.models.light_encoder import LightEncoder
from kdtasks.csi_feedback.settings import (
    ENCODERS,
    FREE_CODEWORD_METHODS,
    METHOD_NAMES,
    CsiSettings,
)
from kdtasks.learning.custom_loss import own_loss
from kdtasks.learning.meta import MetaPlan
from kdtasks.learning.metrics import Ratio, nmse
from kdtasks.learning.random import initialised, torch_generator
from kdtasks.learning.tensors import as_tensor, load_state
from kdtasks.learning.training import batches, run_frozen


def first_data(settings: CsiSettings) -> CsiData:
    """Return which data the trial trains on."""
    return CsiData(
        scenario=settings.scenario,
        num_antennas=settings.num_antennas,
        num_subcarriers=settings.num_subcarriers,
        counts=(settings.num_train, settings.num_val, settings.num_test),
        seed=settings.data_seed,
        guard_m=settings.guard_m,
        data_path=settings.data_path,
        data_key=settings.data_key,
        data_axes=settings.data_axes,
        data_drop=settings.data_drop,
        server_age=settings.server_age,
    )


def second_data(settings: CsiSettings) -> CsiData:
    """Return the second data set of a generalisation trial."""
    return replace(first_data(settings), scenario=settings.second_scenario)


def make_encoder(settings: CsiSettings, name: str) -> nn.Module:
    """Build an encoder: ``light``, of the family of students, ``crnet``, or the user's own."""
    size = settings.encoder_sizes
    if name == "light":
        return LightEncoder(*size, settings.light_shape)
    return CRNetEncoder(*size) if name == "crnet" else own_encoder(name, size, ENCODERS)(*size)


def make_decoder(settings: CsiSettings) -> CRNetDecoder:
    """Build a decoder."""
    return CRNetDecoder(
        settings.num_antennas,
        settings.num_subcarriers,
        settings.codeword_length,
        width=settings.decoder_width,
    )


def plan_of(settings: CsiSettings) -> Plan:
    """Return epochs, rates and weights as methods take them."""
    return Plan(
        epochs=settings.epochs,
        encoder_epochs=settings.encoder_epochs,
        finetune_epochs=settings.finetune_epochs,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        finetune_rate=settings.finetune_rate,
        alpha=settings.alpha,
        temperature=settings.temperature,
        paper_scale=settings.soft_scale == "paper",
        pair_bits=settings.pair_bits,
        codeword_loss=codeword_loss(settings.codeword_loss, settings.codeword_length),
        meta=_meta_plan(settings),
    )


def _meta_plan(settings: CsiSettings) -> MetaPlan | None:
    if settings.server_training not in ("reptile", "fomaml"):
        return None
    return MetaPlan(
        rule=settings.server_training,
        inner_steps=settings.inner_steps,
        inner_rate=settings.inner_rate,
        weight=settings.meta_weight,
    )


def restored(settings: CsiSettings, weights: Arrays, encoder: str) -> Autoencoder:
    """Build an autoencoder with an encoder of that name, and load its weights."""
    model = Autoencoder(make_encoder(settings, encoder), make_decoder(settings))
    load_state(model, weights)
    return model


def check_place(settings: CsiSettings) -> None:
    """Refuse to divide by angle what lies in one small area.

    Raises:
        ConfigError: Naming the parameter to change.
    """
    site = CSI_SITES.get(settings.scenario)
    if not settings.networked or site is None or site.area is None:
        return
    if settings.server_areas:
        raise ConfigError(
            f"server_areas={settings.server_areas} are sectors of the whole cell, but the users of "
            f"scenario {settings.scenario!r} are in one small area: leave it at 0"
        )
    if settings.partition == "area" and settings.partition_skew > 0.0 and settings.num_edges > 1:
        raise ConfigError(
            f"partition='area' deals out sectors of the whole cell, but the users of scenario "
            f"{settings.scenario!r} are in one small area: take partition dirichlet"
        )
    if settings.server_coverage < 1.0:
        raise ConfigError(
            f"server_coverage={settings.server_coverage:g} is a share of the whole cell, but the "
            f"users of scenario {settings.scenario!r} are in one small area: leave it at 1, or "
            "take server_age"
        )


METHODS: dict[str, Method] = {
    "vanilla": vanilla.train,
    "autoencoder-kd": autoencoder_kd.train,
    "encoder-kd": encoder_kd.train,
    "ip-encoder-kd": ip_encoder_kd.train,
    "sequential": ip_encoder_kd.train_sequential,
}


def method_of(settings: CsiSettings) -> Method:
    """Return what trains a student; an own loss takes the place of that of autoencoder KD."""
    if settings.method in FREE_CODEWORD_METHODS:
        return partial(codeword_kd.train, settings=settings)
    if not settings.own_loss:
        return METHODS[settings.method]
    loss = own_loss(settings.method, (4, *settings.picture_shape), METHOD_NAMES)
    return partial(
        autoencoder_kd.train_towards,
        loss=lambda student, teacher, _pictures: loss(student, teacher),
    )


def stream(stream_name: str, purpose: str) -> str:
    """Name a random stream of a node; without ``stream_name`` it is that of a lone trial."""
    return f"{stream_name} {purpose}" if stream_name else purpose


def new_student(settings: CsiSettings, stream_name: str) -> Autoencoder:
    """Return a student that has learnt nothing."""
    encoder = partial(make_encoder, settings, settings.encoder)
    return Autoencoder(
        initialised(settings.seed, stream(stream_name, "encoder"), encoder),
        initialised(settings.seed, stream(stream_name, "decoder"), partial(make_decoder, settings)),
    )


def student_job(
    settings: CsiSettings,
    pictures_N2AC: Tensor,
    val_N2AC: Tensor | None,
    teacher: Teacher | None,
    *,
    server_part: bool = True,
    stream_name: str = "",
) -> Job:
    """Return what a student is trained by: `METHODS` take it from here."""
    student = new_student(settings, stream_name)
    return Job(
        train_N2AC=pictures_N2AC,
        val_N2AC=val_N2AC,
        encoder=student.encoder,
        decoder=student.decoder,
        teacher=teacher,
        plan=plan_of(settings),
        generator=torch_generator(settings.seed, stream(stream_name, "order")),
        server_part=server_part,
    )


def restored_student(settings: CsiSettings, weights: Arrays) -> Autoencoder:
    """Build a student and load its weights."""
    return restored(settings, weights, settings.encoder)


def frozen_teacher(settings: CsiSettings, artifact: TeacherArtifact) -> Teacher:
    """Build a teacher with whatever is known of its outputs."""
    return Teacher(
        restored(settings.of_teacher, artifact.weights, settings.teacher_encoder),
        as_tensor(artifact.outputs["codewords"]) if "codewords" in artifact.outputs else None,
        as_tensor(artifact.outputs["pictures"]) if "pictures" in artifact.outputs else None,
    )


def scores(model: Autoencoder, split: Arrays) -> dict[str, float]:
    """Return the NMSE [dB] on the first scenario, and on the second where there is one."""
    names = {"pictures": "nmse_db", "second_pictures": "nmse_second_db"}
    return {
        metric: score(model, as_tensor(split[name])).decibel
        for name, metric in names.items()
        if name in split
    }


def score(model: Autoencoder, pictures_N2AC: Tensor) -> Ratio:
    """Return the NMSE on pictures."""
    total = Ratio()
    for part in batches(len(pictures_N2AC)):
        total = total + nmse(pictures_N2AC[part], run_frozen(model, pictures_N2AC[part]))
    return total
