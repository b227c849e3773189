"""The running mean of weights: what it holds, and that it leaves the training alone."""

import torch

from cryomix.fitting.weight_average import WeightAverage


def fill(model, value):
    for weight in model.weights():
        weight.fill_(value)


def test_a_mean_of_weights_that_jump_lies_between_them(untrained):
    average = WeightAverage(untrained, epoch_steps=20)
    for step in range(200):
        fill(untrained, 1.0 if step % 2 else 3.0)
        average.update()
    with average.in_place():
        for weight in untrained.weights():
            torch.testing.assert_close(weight, torch.full_like(weight, 2.0), rtol=0.05, atol=0)


def test_early_steps_are_forgotten(untrained):
    fill(untrained, 100.0)
    average = WeightAverage(untrained, epoch_steps=20)
    for step in range(200):
        fill(untrained, 100.0 if step < 20 else 1.0)
        average.update()
    with average.in_place():
        assert all(float(weight.max()) < 1.1 for weight in untrained.weights())


def test_the_training_goes_on_from_its_own_weights(untrained):
    average = WeightAverage(untrained, epoch_steps=20)
    before = [weight.clone() for weight in untrained.weights()]
    average.update()
    fill(untrained, 7.0)
    with average.in_place():
        inside = [weight.clone() for weight in untrained.weights()]
    assert all(torch.equal(a, b) for a, b in zip(inside, before, strict=True))
    assert all(bool((weight == 7).all()) for weight in untrained.weights())


def test_it_goes_on_from_its_tensors(untrained):
    first, second = (WeightAverage(untrained, epoch_steps=20) for _ in range(2))
    for value in (1.0, 2.0, 5.0, 3.0, 3.0, 1.0):
        fill(untrained, value)
        first.update()
    second.load(first.tensors())
    fill(untrained, 9.0)
    for average in (first, second):
        average.update()
    for name, value in first.tensors().items():
        assert torch.equal(value, second.tensors()[name])
