"""From the settings of the CSI feedback task to its data, networks and plan of training."""

from dataclasses import replace

from torch import nn

from kdtasks.errors import ConfigError
from kdtasks.methods.codeword_training import codeword_loss
from kdtasks.methods.csi_job import Plan
from kdtasks.models.autoencoder import Autoencoder
from kdtasks.models.crnet_decoder import CRNetDecoder
from kdtasks.models.crnet_encoder import CRNetEncoder
from kdtasks.models.light_encoder import LightEncoder
from kdtasks.models.own_encoder import own_encoder
from kdtasks.scenarios.csi_data import CsiData
from kdtasks.scenarios.csi_sites import CSI_SITES
from kdtasks.task import Arrays
from kdtasks.tasks.csi_settings import ENCODERS, CsiSettings
from kdtasks.tensors import load_state


def first_data(settings: CsiSettings) -> CsiData:
    """Return which data the trial trains on."""
    return CsiData(
        scenario=settings.scenario,
        num_antennas=settings.num_antennas,
        num_subcarriers=settings.num_subcarriers,
        counts=(settings.num_train, settings.num_val, settings.num_test),
        seed=settings.data_seed,
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
