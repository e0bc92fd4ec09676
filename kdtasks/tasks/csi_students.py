"""How one CSI student is trained and judged, wherever that happens."""

from functools import partial

from torch import Tensor

from kdtasks.methods import autoencoder_kd, encoder_kd, vanilla
from kdtasks.methods.csi_job import Job, Method, Teacher
from kdtasks.methods.ip_encoder_kd import method as ip_encoder_kd
from kdtasks.methods.own_loss import own_loss
from kdtasks.metrics import Ratio, nmse
from kdtasks.models.autoencoder import Autoencoder
from kdtasks.seeding import initialised, torch_generator
from kdtasks.task import Arrays, TeacherArtifact
from kdtasks.tasks.csi_parts import make_decoder, make_encoder, plan_of, restored
from kdtasks.tasks.csi_settings import METHOD_NAMES, CsiSettings
from kdtasks.tensors import as_tensor
from kdtasks.training import batches, run_frozen

METHODS: dict[str, Method] = {
    "vanilla": vanilla.train,
    "autoencoder-kd": autoencoder_kd.train,
    "encoder-kd": encoder_kd.train,
    "ip-encoder-kd": ip_encoder_kd.train,
    "sequential": ip_encoder_kd.train_sequential,
}


def method_of(settings: CsiSettings) -> Method:
    """Return what trains a student; an own loss takes the place of that of autoencoder KD."""
    if not settings.own_loss:
        return METHODS[settings.method]
    loss = own_loss(settings.method, (4, *settings.picture_shape), METHOD_NAMES)
    return partial(
        autoencoder_kd.train_towards, loss=lambda said, taught, _pictures: loss(said, taught)
    )


def stream(who: str, purpose: str) -> str:
    """Name a random stream of a node; without ``who`` it is that of a lone trial."""
    return f"{who} {purpose}" if who else purpose


def new_student(settings: CsiSettings, who: str) -> Autoencoder:
    """Return a student that has learnt nothing."""
    encoder = partial(make_encoder, settings, settings.encoder)
    return Autoencoder(
        initialised(settings.seed, stream(who, "encoder"), encoder),
        initialised(settings.seed, stream(who, "decoder"), partial(make_decoder, settings)),
    )


def student_job(
    settings: CsiSettings,
    pictures_N2AC: Tensor,
    val_N2AC: Tensor | None,
    teacher: Teacher | None,
    *,
    server_part: bool = True,
    who: str = "",
) -> Job:
    """Return what a student is trained by: `METHODS` take it from here."""
    student = new_student(settings, who)
    return Job(
        train_N2AC=pictures_N2AC,
        val_N2AC=val_N2AC,
        encoder=student.encoder,
        decoder=student.decoder,
        teacher=teacher,
        plan=plan_of(settings),
        generator=torch_generator(settings.seed, stream(who, "order")),
        server_part=server_part,
    )


def restored_student(settings: CsiSettings, weights: Arrays) -> Autoencoder:
    """Build a student and load its weights."""
    return restored(settings, weights, settings.encoder)


def frozen_teacher(settings: CsiSettings, artifact: TeacherArtifact) -> Teacher:
    """Build a teacher with whatever is known of its outputs."""
    return Teacher(
        restored(settings, artifact.weights, settings.teacher_encoder),
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
