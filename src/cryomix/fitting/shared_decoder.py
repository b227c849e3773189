"""The decoder that all Gaussians share: fields of motion and of occupancy over the molecule."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cryomix.fitting.linear_layer import LinearLayer
from cryomix.fitting.networks import Decoder, above_zero, hidden_layers
from cryomix.imaging.gaussians import GaussianModel

_FIELDS = 32
_WAVES = 64
_FINENESS = 2.0  # of the waves: radians per root mean square radius, along each axis
_TRUNK = 128


class SharedDecoder(Decoder):
    """Step of a Gaussian = fields at its place, weighed by the latent: Σₖ fₖ(c) (wₖ(z) − wₖ(0)).

    Three sets of fields, of motion, of occupancy (amplitude) and of width, are one small network
    of the neutral centre c; the weight of a field of motion is a vector. Neighbours have nearly
    the same fields, so that they move together, and no weight belongs to one Gaussian, so that
    the number of weights does not grow with theirs. The network of places is applied once per
    call, not once per latent.
    """

    frequency: Tensor

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
        self.register_buffer("frequency", _FINENESS * torch.randn(3, _WAVES))
        self.places = nn.Sequential(
            LinearLayer(3 + 2 * _WAVES, _TRUNK), nn.ReLU(),
            LinearLayer(_TRUNK, _TRUNK), nn.ReLU(),
            LinearLayer(_TRUNK, 3 * _FIELDS),
        )  # fmt: skip
        self.hidden = hidden_layers(latent_size, hidden)
        self.last = LinearLayer(hidden, 5 * _FIELDS, bias=False)
        for layer in self.places.modules():
            if isinstance(layer, LinearLayer):  # fields begin with a variance of about one
                nn.init.normal_(layer.weight, std=math.sqrt(2 / layer.in_features))
        nn.init.normal_(self.last.weight, std=0.01)

    def fields(self) -> Float[Tensor, "gaussians fields"]:
        """All fields at the neutral centres: of motion, of occupancy, of width."""
        offset = self.center - self.center.mean(0)
        place = offset / offset.square().sum(-1).mean().sqrt().clamp_min(1e-6)
        wave = place @ self.frequency
        found: Tensor = self.places(torch.cat([place, wave.sin(), wave.cos()], dim=-1))
        return found

    def steps(
        self, latent: Float[Tensor, "particles latent"]
    ) -> Float[Tensor, "particles gaussians 5"]:
        """D(z) − D(0)."""
        motion, occupancy, width = self.fields().chunk(3, dim=-1)
        weight: Tensor = self.last(above_zero(self.hidden, latent))
        # As large at the start as the dense decoder's steps.
        weight = weight.reshape(len(latent), 5, _FIELDS) / math.sqrt(_FIELDS)
        kinds = [weight[:, :3] @ motion.T, weight[:, 3:4] @ occupancy.T, weight[:, 4:] @ width.T]
        return torch.cat(kinds, dim=1).mT
