"""The running mean of the networks' weights, which scores better than the weights of one step."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from cryomix.fitting.trained_model import TrainedModel

_HORIZON = 500  # steps, or an epoch if that is shorter
_EARLY = 4


class WeightAverage:
    """Exponential running mean of the weights of `model`, which goes on training.

    Each step of stochastic descent leaves the weights somewhere about the minimum; their mean lies
    nearer to it (Polyak & Juditsky, 1992). Early on, when they still travel, the mean is of the
    last quarter of the steps so far; later of the last `_HORIZON` or of the last epoch.

    Parameters
    ----------
    model
        Whose weights are averaged.
    epoch_steps
        Steps of an epoch.
    """

    def __init__(self, model: TrainedModel, epoch_steps: int) -> None:
        self.horizon = min(_HORIZON, epoch_steps)
        self.steps = 0
        self._weights = model.weights()
        self._mean = [weight.clone() for weight in self._weights]

    def update(self) -> None:
        """Count the weights as they are now."""
        self.steps += 1
        share = 1 / min(max(1.0, self.steps / _EARLY), self.horizon)
        torch._foreach_lerp_(self._mean, self._weights, share)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model has the mean weights inside."""
        kept = [weight.clone() for weight in self._weights]
        torch._foreach_copy_(self._weights, self._mean)
        try:
            yield
        finally:
            torch._foreach_copy_(self._weights, kept)

    def tensors(self) -> dict[str, Tensor]:
        """All that it goes on from, by name; on the CPU."""
        named = {str(number): mean.to("cpu", copy=True) for number, mean in enumerate(self._mean)}
        return named | {"steps": torch.tensor(self.steps)}

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Go on from what `tensors` gave."""
        self.steps = int(tensors["steps"])
        for number, mean in enumerate(self._mean):
            mean.copy_(tensors[str(number)])
