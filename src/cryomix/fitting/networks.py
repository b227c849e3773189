"""The encoder, from a particle's gradient to its latent, and decoders, from latent to model."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cryomix.fitting.linear_layer import LinearLayer
from cryomix.fitting.units import to_network_units
from cryomix.imaging.gaussians import GaussianModel

KINDS = ("centers", "amplitudes", "widths")
_COLUMNS = {"centers": (0, 1, 2), "amplitudes": (3,), "widths": (4,)}


class Encoder(nn.Module):
    """Latent = three hidden layers of the gradient, plus a linear map of it.

    The input is the gradient of a particle's score with respect to the neutral model
    (particles, gaussians, 5). Each kind of parameter is normalised by itself, with statistics
    that are set once and stored, so that a particle's latent does not depend on its batch.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, gaussians: int, latent_size: int, hidden: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(gaussians * 5))
        self.register_buffer("scale", torch.ones(gaussians * 5))
        self.linear = LinearLayer(gaussians * 5, latent_size, bias=False)
        self.hidden = hidden_layers(gaussians * 5, hidden)
        self.last = LinearLayer(hidden, latent_size)
        nn.init.zeros_(self.linear.weight)
        nn.init.normal_(self.last.weight, std=0.01)
        nn.init.zeros_(self.last.bias)

    def forward(
        self, gradient: Float[Tensor, "particles gaussians 5"]
    ) -> Float[Tensor, "particles latent"]:
        """Latents of particles."""
        feature = (gradient.flatten(1) - self.mean) * self.scale
        return self.linear(feature) + self.last(self.hidden(feature))

    @torch.no_grad()
    def start_from(
        self,
        gradient: Float[Tensor, "particles gaussians 5"],
        groups: Float[Tensor, "groups gaussians 5"],
        spread: float,
    ) -> None:
        """Set the statistics, and the linear map to the leading principal components.

        Without this start a latent of one dimension folds back on itself: neighbours agree,
        but the order along a motion is lost. The latents start with standard deviation
        `spread`. Parameters that may not vary are left out of the input; the latents of each
        group start from what varies in it.
        """
        varying = (groups > 0).any(0)
        scale = torch.zeros_like(gradient[0])
        for kind in KINDS:
            columns = list(_COLUMNS[kind])
            part = gradient[:, :, columns][:, varying[:, columns]]
            if part.numel():
                scale[:, columns] = varying[:, columns] / part.std().clamp_min(1e-12)
        self.mean.copy_(gradient.mean(0).flatten())
        self.scale.copy_(scale.flatten())
        feature = (gradient.flatten(1) - self.mean) * self.scale
        count = len(self.linear.weight) // len(groups)
        direction = torch.cat(
            [_principal_directions(feature * part.flatten(), count) for part in groups], dim=1
        )
        coordinate = feature @ direction
        self.linear.weight.copy_((direction * spread / coordinate.std(0).clamp_min(1e-12)).T)


class Decoder(nn.Module):
    """Model = neutral model + what a network makes of the latent; latent 0 is the neutral model.

    The network works on logits of network units: what is added to a parameter is
    sigmoid(l + v (D(z) − D(0))) − sigmoid(l), in the units of `to_physical_units`, with l the logit
    of the neutral parameter and v, from 0 to 1, how far it may vary: where it is 0 the parameter
    stays as it is. Which network D is, each kind of decoder says in `steps`.
    """

    center: Tensor
    amplitude: Tensor
    width: Tensor
    logit: Tensor
    varying: Tensor
    unit: Tensor

    def __init__(
        self,
        neutral: GaussianModel,
        box_length: float,
        base_width: float,
        varying: Float[Tensor, "gaussians 5"],
    ) -> None:
        super().__init__()
        for name in ("center", "amplitude", "width"):
            self.register_buffer(name, getattr(neutral, name).clone())
        logit = torch.logit(to_network_units(neutral, box_length, base_width))
        self.register_buffer("logit", logit)
        self.register_buffer("varying", varying.clone())
        self.register_buffer("unit", torch.tensor([box_length] * 3 + [1.0, base_width]))

    @property
    def neutral(self) -> GaussianModel:
        """The model at latent 0."""
        return GaussianModel(self.center, self.amplitude, self.width)

    @property
    def groups(self) -> Float[Tensor, "groups gaussians 5"]:
        """How far each group of latents may change each parameter: one group, of all latents."""
        return self.varying[None]

    def steps(
        self, latent: Float[Tensor, "particles latent"]
    ) -> Float[Tensor, "particles gaussians 5"]:
        """D(z) − D(0)."""
        raise NotImplementedError

    def allowed_steps(
        self, latent: Float[Tensor, "particles latent"]
    ) -> Float[Tensor, "particles gaussians 5"]:
        """V (D(z) − D(0))."""
        return self.steps(latent) * self.varying

    def forward(self, latent: Float[Tensor, "particles latent"]) -> GaussianModel:
        """One model per latent."""
        step = self.allowed_steps(latent)
        still = (latent == 0).all(-1)[:, None, None] | (self.varying == 0)
        change = ((self.logit + step).sigmoid() - self.logit.sigmoid()) * self.unit
        # Rounding would leave a trace of D(z) − D(0) at z = 0: it is 0 there by definition.
        change = torch.where(still, 0.0, change)
        return GaussianModel(
            self.center + change[..., :3],
            (self.amplitude + change[..., 3]).clamp_min(0),
            self.width + change[..., 4],
        )


class DenseDecoder(Decoder):
    """Three hidden layers of the latent, and for each parameter its own weights of the last."""

    def __init__(
        self,
        neutral: GaussianModel,
        box_length: float,
        base_width: float,
        varying: Float[Tensor, "gaussians 5"],
        latent_size: int,
        hidden: int,
    ) -> None:
        super().__init__(neutral, box_length, base_width, varying)
        self.hidden = hidden_layers(latent_size, hidden)
        self.last = LinearLayer(hidden, self.logit.numel(), bias=False)
        nn.init.normal_(self.last.weight, std=0.01)

    def steps(
        self, latent: Float[Tensor, "particles latent"]
    ) -> Float[Tensor, "particles gaussians 5"]:
        """D(z) − D(0)."""
        step: Tensor = self.last(above_zero(self.hidden, latent))
        return step.reshape(len(latent), *self.logit.shape)


def varying_parameters(
    gaussians: int, kinds: Sequence[str], inside: Float[Tensor, "gaussians"] | None = None
) -> Float[Tensor, "gaussians 5"]:
    """How far parameters may vary: those of `kinds`, each Gaussian as far as it is `inside`.

    1 is all the way, as all Gaussians may by default; 0 is not at all.

    Raises
    ------
    ValueError
        If a kind is not one of `KINDS`.
    """
    varying = torch.zeros(gaussians, 5)
    for kind in kinds:
        if kind not in _COLUMNS:
            raise ValueError(f"{kind!r} is none of {', '.join(KINDS)}")
        varying[:, list(_COLUMNS[kind])] = 1.0
    return varying if inside is None else varying * inside[:, None]


def above_zero(
    network: nn.Module, latent: Float[Tensor, "particles latent"]
) -> Float[Tensor, "particles outputs"]:
    """What `network` makes of the latents, less what it makes of latent 0."""
    both: Tensor = network(torch.cat([latent, torch.zeros_like(latent[:1])]))
    return both[:-1] - both[-1:]


def hidden_layers(inputs: int, hidden: int) -> nn.Sequential:
    """Three layers, each followed by a ReLU."""
    return nn.Sequential(
        LinearLayer(inputs, hidden), nn.ReLU(),
        LinearLayer(hidden, hidden), nn.ReLU(),
        LinearLayer(hidden, hidden), nn.ReLU(),
    )  # fmt: skip


def _principal_directions(
    feature: Float[Tensor, "particles features"], count: int
) -> Float[Tensor, "features count"]:
    """Leading right singular vectors by subspace iteration from a fixed start."""
    generator = torch.Generator().manual_seed(0)
    extra = min(count + 8, *feature.shape)
    basis = torch.randn(feature.shape[1], extra, generator=generator).to(feature)
    for _ in range(6):
        basis = torch.linalg.qr(feature.T @ (feature @ basis)).Q
    rotation = torch.linalg.svd(feature @ basis, full_matrices=False).Vh
    direction = basis @ rotation.T
    peak = direction.gather(0, direction.abs().argmax(0, keepdim=True))
    return (direction * peak.sign())[:, :count]
