"""Encoder, decoder and all that is needed to apply them to particles."""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from cryomix.fitting.gradients import neutral_gradient
from cryomix.fitting.grouped_decoder import GroupedDecoder
from cryomix.fitting.linear_layer import Precision, set_precision
from cryomix.fitting.networks import Decoder, DenseDecoder, Encoder, varying_parameters
from cryomix.fitting.score import Metric, make_metric
from cryomix.fitting.shared_decoder import SharedDecoder
from cryomix.geometry.fourier import FourierGrid
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.noise import Spectrum
from cryomix.imaging.particles import ParticleBatch


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """What fixes the shape and the units of a model; all of it is written beside the weights."""

    box_size: int
    pixel_size: float
    resolution: float
    base_width: float
    latent_size: int
    hidden: int
    loss: Literal["snr", "flat"]
    vary: tuple[str, ...]
    decoder: Literal["dense", "shared"] = "dense"
    groups: int = 1

    @property
    def grid(self) -> FourierGrid:
        """Sampling on which images and projections are compared."""
        return FourierGrid(self.box_size, self.pixel_size)


class TrainedModel:
    """What training changes: two networks, with the score they were made for.

    Parameters
    ----------
    settings, neutral, spectrum
        Shapes and units, the model at latent 0, and the noise of the images.
    focus
        How far each Gaussian may vary, 0 to 1, with each group of latents; all the way by default.
    """

    def __init__(
        self,
        settings: ModelSettings,
        neutral: GaussianModel,
        spectrum: Spectrum,
        focus: Float[Tensor, "groups gaussians"] | None = None,
    ) -> None:
        grid = settings.grid
        self.settings = settings
        self.spectrum = spectrum
        self.metric: Metric = make_metric(settings.loss, spectrum, grid, settings.resolution)
        self.likelihood: Metric = make_metric("snr", spectrum, grid, settings.resolution)
        self.encoder = Encoder(len(neutral), settings.latent_size, settings.hidden)
        self.decoder: Decoder = _make_decoder(settings, neutral, focus)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.metric.weight.device

    def to(self, device: torch.device, precision: Precision = "float32") -> "TrainedModel":
        """Move to `device`; on a GPU the networks multiply in `precision`."""
        self.metric, self.likelihood = (
            replace(
                metric,
                grid=metric.grid.to(device),
                gain=metric.gain.to(device),
                weight=metric.weight.to(device),
                scale_variance=metric.scale_variance.to(device),
            )
            for metric in (self.metric, self.likelihood)
        )
        for network in (self.encoder, self.decoder):
            network.to(device)
            set_precision(network, precision if device.type == "cuda" else "float32")
        return self

    @torch.no_grad()
    def encode(self, batch: ParticleBatch) -> Float[Tensor, "batch latent"]:
        """First estimate of the latents."""
        gradient, _ = neutral_gradient(self.decoder, batch, self.metric)
        return self.encoder(gradient)

    @torch.no_grad()
    def decode(self, latent: Float[Tensor, "models latent"]) -> GaussianModel:
        """The Gaussian model at each latent: the one function that training uses as well."""
        return self.decoder(latent)

    def weights(self) -> list[Tensor]:
        """What training changes, on the device; changing these changes the model."""
        networks = (self.encoder, self.decoder)
        return [weight.data for network in networks for weight in network.parameters()]

    def tensors(self) -> dict[str, Tensor]:
        """Weights, statistics, neutral model and spectrum by name, copied to the CPU."""
        named = {f"encoder.{name}": value for name, value in self.encoder.state_dict().items()}
        named |= {f"decoder.{name}": value for name, value in self.decoder.state_dict().items()}
        named |= {f"spectrum.{name}": getattr(self.spectrum, name) for name in _SPECTRUM}
        return {name: value.detach().to("cpu", copy=True) for name, value in named.items()}

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Take over the weights and statistics that `tensors` gave."""
        for prefix, network in (("encoder.", self.encoder), ("decoder.", self.decoder)):
            network.load_state_dict(
                {
                    name.removeprefix(prefix): value
                    for name, value in tensors.items()
                    if name.startswith(prefix)
                }
            )


def restore_model(settings: ModelSettings, tensors: dict[str, Tensor]) -> TrainedModel:
    """The model whose `tensors` were kept.

    Raises
    ------
    KeyError
        If a tensor is missing.
    """
    neutral = GaussianModel(*(tensors[f"decoder.{name}"] for name in _NEUTRAL))
    spectrum = Spectrum(**{name: tensors[f"spectrum.{name}"] for name in _SPECTRUM})
    model = TrainedModel(settings, neutral, spectrum)
    model.load(tensors)
    return model


def _make_decoder(
    settings: ModelSettings,
    neutral: GaussianModel,
    focus: Float[Tensor, "groups gaussians"] | None,
) -> Decoder:
    if focus is None:
        focus = torch.ones(settings.groups, len(neutral))
    if len(focus) != settings.groups or settings.latent_size % settings.groups:
        raise ValueError(
            f"{settings.latent_size} latents cannot be those of {len(focus)} groups alike"
        )
    units = (settings.grid.box_length, settings.base_width)
    size = settings.latent_size // settings.groups
    members = [
        _DECODERS[settings.decoder](
            neutral, *units, varying_parameters(len(neutral), settings.vary, inside),
            size, settings.hidden,
        )
        for inside in focus
    ]  # fmt: skip
    return members[0] if len(members) == 1 else GroupedDecoder(*units, members)


_DECODERS: dict[str, type[DenseDecoder | SharedDecoder]] = {
    "dense": DenseDecoder,
    "shared": SharedDecoder,
}
_NEUTRAL = ("center", "amplitude", "width")
_SPECTRUM = ("gain", "noise", "signal_to_noise", "scale_variance")
