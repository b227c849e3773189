"""Coarse products are near the exact ones, and have their gradients."""

import pytest
import torch
from torch import nn

from cryomix.fitting.linear_layer import LinearLayer, set_precision


def outcome(layer, input):
    """The product, and the gradients with respect to input, weight and bias."""
    given = input.clone().requires_grad_()
    output = layer(given)
    weight = torch.linspace(-1, 1, output.numel()).reshape(output.shape)
    leaves = [given, *layer.parameters()]
    return [output.detach(), *torch.autograd.grad((output * weight).sum(), leaves)]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("precision", "tolerance"), [("tf32", 1e-5), ("bfloat16", 0.02)])
def test_a_coarse_layer_is_near_the_exact_one(precision, tolerance, bias):
    torch.manual_seed(0)
    layer, input = LinearLayer(40, 7, bias=bias), torch.randn(12, 40)
    exact = outcome(layer, input)
    set_precision(nn.Sequential(layer), precision)
    for coarse, value in zip(outcome(layer, input), exact, strict=True):
        assert coarse.dtype == torch.float32
        assert float((coarse - value).norm() / value.norm()) < tolerance
    if precision == "bfloat16":
        assert not torch.equal(layer(input), exact[0])


def test_the_setting_of_other_products_is_left_alone():
    before = torch.backends.cuda.matmul.allow_tf32
    layer = LinearLayer(4, 3)
    set_precision(layer, "tf32")
    outcome(layer, torch.ones(2, 4))
    assert torch.backends.cuda.matmul.allow_tf32 == before
