"""The matrix products of the networks, and how exactly a GPU forms them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

Precision = Literal["float32", "tf32", "bfloat16"]


class LinearLayer(nn.Linear):
    """A linear layer whose products take both factors in a `precision`, and sum in float32.

    Only the networks may be coarse: coordinates in Å need every digit of float32.
    """

    precision: Precision = "float32"

    def forward(self, input: Float[Tensor, "rows inputs"]) -> Float[Tensor, "rows outputs"]:
        """W · input + b."""
        if self.precision == "float32":
            return nn.functional.linear(input, self.weight, self.bias)
        if self.precision == "bfloat16":
            product = nn.functional.linear(input.bfloat16(), self.weight.bfloat16()).float()
        else:
            product = _TensorFloatProduct.apply(input, self.weight)
        return product if self.bias is None else product + self.bias


def set_precision(network: nn.Module, precision: Precision) -> None:
    """Choose the precision of all linear layers of `network`."""
    for layer in network.modules():
        if isinstance(layer, LinearLayer):
            layer.precision = precision


class _TensorFloatProduct(torch.autograd.Function):
    """Input · Wᵀ on tensor cores: mantissas of 10 bits, forwards and backwards."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(input, weight)
        with _tensor_float():
            return input @ weight.T

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        input, weight = ctx.saved_tensors
        needs_input, needs_weight = ctx.needs_input_grad
        with _tensor_float():
            return (
                gradient @ weight if needs_input else None,
                gradient.T @ input if needs_weight else None,
            )


@contextmanager
def _tensor_float() -> Iterator[None]:
    products = torch.backends.cuda.matmul
    before = products.allow_tf32
    products.allow_tf32 = True
    try:
        yield
    finally:
        products.allow_tf32 = before
