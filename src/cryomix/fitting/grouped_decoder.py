"""The decoder of several groups of Gaussians, each with latents of its own."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cryomix.fitting.networks import Decoder


class GroupedDecoder(Decoder):
    """Step of a Gaussian = Σ over its groups g of vᵍ (Dᵍ(zᵍ) − Dᵍ(0)).

    The latents of the groups stand one after the other, as many of each. A Gaussian that is in two
    groups, as at a soft border, takes a share of both steps.

    Parameters
    ----------
    members
        One decoder per group, of one neutral model.
    """

    def __init__(self, box_length: float, base_width: float, members: Sequence[Decoder]) -> None:
        varying = torch.stack([member.varying for member in members]).amax(0)
        super().__init__(members[0].neutral, box_length, base_width, varying)
        self.members = nn.ModuleList(members)

    @property
    def groups(self) -> Float[Tensor, "groups gaussians 5"]:
        """How far each group of latents may change each parameter."""
        return torch.stack([member.varying for member in self._decoders()])

    def allowed_steps(
        self, latent: Float[Tensor, "particles latent"]
    ) -> Float[Tensor, "particles gaussians 5"]:
        """Those of all groups, summed up."""
        parts = latent.chunk(len(self.members), dim=-1)
        steps = [
            member.allowed_steps(part) for member, part in zip(self._decoders(), parts, strict=True)
        ]
        return torch.stack(steps).sum(0)

    def _decoders(self) -> list[Decoder]:
        return [member for member in self.members if isinstance(member, Decoder)]
