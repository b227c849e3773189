"""Neighbouring Gaussians that keep their distance: a gradient beside that of the score."""

from typing import Any

import torch
from jaxtyping import Float, Int64
from scipy.spatial import cKDTree
from torch import Tensor

from cryomix.imaging.gaussians import GaussianModel

_NEIGHBORS = 5
_MEMORY = 0.98  # of the running means, per step


class Rigidity:
    """Springs between neighbours of the neutral model, as strong as the score lets them be.

    The penalty is the mean over springs of the squared change of length in base widths, so that
    a domain that turns as a whole pays nothing. Its unit means nothing beside the score's: its
    weight is `share` times the ratio of both gradients with respect to the centres, root mean
    squares over the steps so far. Before the first step there is none, and the weight is 0.

    Attributes
    ----------
    pair
        The two Gaussians of each spring.
    length
        Of each spring at rest, Å.
    share
        Length of the penalty's gradient over that of the score's.
    score_square, penalty_square
        Running means of the squared lengths of both gradients, equally far from complete.
    """

    def __init__(self, neutral: GaussianModel, base_width: float, share: float) -> None:
        self.pair = neighboring_pairs(neutral.center, _NEIGHBORS)
        self.length = _lengths(self._offsets(neutral.center[None]))[:, 0]
        self.base_width = base_width
        self.share = share
        self.score_square = torch.zeros(())
        self.penalty_square = torch.zeros(())
        self.seen = [torch.zeros(()), torch.zeros(())]

    def to(self, device: torch.device) -> "Rigidity":
        """Move to `device`."""
        for name in ("pair", "length", *_MEANS):
            setattr(self, name, getattr(self, name).to(device))
        self.forget()
        return self

    def penalty(self, center: Float[Tensor, "models gaussians 3"]) -> Float[Tensor, "models"]:
        """Mean squared change of length of the springs of each model, in base widths."""
        length = _lengths(self._offsets(center))
        return ((length - self.length[:, None]) / self.base_width).square().mean(0)

    def slope(
        self, center: Float[Tensor, "models gaussians 3"]
    ) -> Float[Tensor, "models gaussians 3"]:
        """Gradient of each model's penalty, 1/Å."""
        first, second = self.pair
        offset = self._offsets(center)
        stretch = 1 - self.length[:, None] / _lengths(offset).clamp_min(1e-6)
        pull = offset * stretch[:, None]
        total = torch.zeros_like(center.permute(1, 2, 0), memory_format=torch.contiguous_format)
        total.index_add_(0, first, pull)
        total.index_add_(0, second, pull, alpha=-1)
        unit = 2 / (self.base_width**2 * max(len(self.length), 1))
        return unit * total.permute(2, 0, 1)

    def _offsets(
        self, center: Float[Tensor, "models gaussians 3"]
    ) -> Float[Tensor, "pairs 3 models"]:
        """From the second Gaussian of each spring to the first; models last, to add up fast."""
        first, second = self.pair
        rows = center.permute(1, 2, 0).contiguous()
        return rows[first] - rows[second]

    @property
    def weight(self) -> Float[Tensor, ""]:
        """Of the penalty beside the score, as both gradients were so far."""
        return self.share * (self.score_square / self.penalty_square.clamp_min(1e-30)).sqrt()

    def hold(
        self, center: Float[Tensor, "models gaussians 3"], whole: int
    ) -> Float[Tensor, "models gaussians 3"]:
        """The same centres; the penalty's gradient, a mean over `whole` models, joins theirs.

        Of what the score wants of the centres, nothing is known before the gradient arrives here:
        both are noted in `seen`, to be summed over processes before `remember`.
        """
        held: Tensor = _Hold.apply(center, self, whole)
        return held

    def forget(self) -> None:
        """Begin a step: nothing is seen yet."""
        self.seen = [torch.zeros_like(self.score_square), torch.zeros_like(self.penalty_square)]

    def remember(self) -> None:
        """End a step: what was seen joins the running means."""
        self.score_square, self.penalty_square = (
            torch.lerp(new, old, _MEMORY)
            for new, old in zip(self.seen, (self.score_square, self.penalty_square), strict=True)
        )

    def tensors(self) -> dict[str, Tensor]:
        """What the next step depends on, copied to the CPU."""
        return {name: getattr(self, name).to("cpu", copy=True) for name in _MEANS}

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Take over what `tensors` gave."""
        for name in _MEANS:
            setattr(self, name, tensors[name].to(self.length.device, copy=True))


def neighboring_pairs(
    center: Float[Tensor, "gaussians 3"], neighbors: int
) -> Int64[Tensor, "2 pairs"]:
    """Pairs of which one is among the nearest `neighbors` of the other, each pair once."""
    count = len(center)
    nearest = min(neighbors, count - 1)
    found = cKDTree(center.cpu().numpy()).query(center.cpu().numpy(), k=nearest + 1)[1]
    other = torch.from_numpy(found).long().reshape(count, nearest + 1)
    one = torch.arange(count)[:, None].expand_as(other)
    pair = torch.stack([torch.minimum(one, other), torch.maximum(one, other)]).flatten(1)
    return pair[:, pair[0] < pair[1]].unique(dim=1)


def _lengths(offset: Float[Tensor, "pairs 3 models"]) -> Float[Tensor, "pairs models"]:
    return offset.square().sum(1).sqrt()


class _Hold(torch.autograd.Function):
    """Nothing forwards; backwards the penalty's gradient is added."""

    @staticmethod
    def forward(ctx: Any, center: Tensor, rigidity: Rigidity, whole: int) -> Tensor:
        ctx.save_for_backward(center)
        ctx.rigidity, ctx.whole = rigidity, whole
        return center.view_as(center)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (center,) = ctx.saved_tensors
        rigidity: Rigidity = ctx.rigidity
        slope = rigidity.slope(center) / ctx.whole
        rigidity.seen = [gradient.square().sum(), slope.square().sum()]
        return gradient + rigidity.weight * slope, None, None


_MEANS = ("score_square", "penalty_square")
