"""What a step of training depends on beside the networks: moments, means, springs, chance."""

import torch
from torch import Tensor

from cryomix.fitting.rigidity import Rigidity
from cryomix.fitting.trained_model import TrainedModel
from cryomix.fitting.training_step import make_optimizer
from cryomix.fitting.weight_average import WeightAverage
from cryomix.options import TrainingOptions


class Descent:
    """Everything that moves along with the weights of `model`, and goes into a checkpoint.

    Attributes
    ----------
    optimizer
        Adam, with its moments.
    average
        Running mean of the weights.
    rigidity
        Springs between Gaussians, if asked for.
    generator
        Of the order of the particles, and of the noise on the latents.
    """

    def __init__(self, model: TrainedModel, options: TrainingOptions, epoch_steps: int) -> None:
        self.optimizer = make_optimizer(model, options)
        self.average = WeightAverage(model, epoch_steps)
        self.rigidity: Rigidity | None = None
        if options.rigidity:
            neutral, width = model.decoder.neutral, model.settings.base_width
            self.rigidity = Rigidity(neutral, width, options.rigidity).to(model.device)
        self.generator = torch.Generator().manual_seed(options.seed)

    def set_rate(self, rate: float) -> None:
        """Take steps of `rate` from now on."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def tensors(self) -> dict[str, Tensor]:
        """All of it by name, copied to the CPU."""
        tensors = {"generator": self.generator.get_state()}
        for number, values in self.optimizer.state_dict()["state"].items():
            for name, value in values.items():
                tensors[f"optimizer.{number}.{name}"] = value.detach().to("cpu", copy=True)
        tensors |= {f"average.{name}": value for name, value in self.average.tensors().items()}
        if self.rigidity is not None:
            tensors |= {f"rigidity.{k}": value for k, value in self.rigidity.tensors().items()}
        return tensors

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Go on from what `tensors` gave."""
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in part_of(tensors, "optimizer.").items():
            number, kind = name.split(".", 1)
            moments.setdefault(int(number), {})[kind] = value.clone()
        kept = self.optimizer.state_dict()
        self.optimizer.load_state_dict({**kept, "state": moments})
        self.average.load(part_of(tensors, "average."))
        if self.rigidity is not None:
            self.rigidity.load(part_of(tensors, "rigidity."))
        self.generator.set_state(tensors["generator"])


def part_of(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those whose names begin with `prefix`, without it."""
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
