"""Prepared particles: the same bits however they were come by, read ahead, errors passed on."""

import threading
import time
from dataclasses import replace

import pytest
import torch

from cryomix.errors import InputFileError
from cryomix.fitting.gradients import neutral_gradient
from cryomix.fitting.heterogeneity import build_model, train
from cryomix.fitting.preparation import PreparedParticles
from cryomix.geometry.fourier import FourierGrid
from cryomix.geometry.poses import random_poses
from cryomix.imaging.particles import read_batch

NAMES = ("gradient", "neutral_score")


def prepare(particles, untrained, memory_bytes):
    return PreparedParticles(
        particles, untrained.decoder, untrained.metric, memory_bytes=float(memory_bytes)
    )


def assert_same(first, second):
    assert all(torch.equal(getattr(first, name), getattr(second, name)) for name in NAMES)
    for name in ("image_ft", "transfer", "index"):
        assert torch.equal(getattr(first.particles, name), getattr(second.particles, name))
    assert torch.equal(first.particles.poses.rotation, second.particles.poses.rotation)


def readers():
    return [thread for thread in threading.enumerate() if "particle reader" in thread.name]


class WatchedStack:
    """Counts what is read; fails at a chosen image."""

    def __init__(self, stack, bad=None):
        self.stack, self.bad = stack, bad
        self.read_so_far = []

    def __len__(self):
        return len(self.stack)

    def read(self, index):
        self.read_so_far += index.tolist()
        if self.bad is not None and self.bad in index.tolist():
            raise InputFileError(f"stack.mrcs: image {self.bad} is bad")
        return self.stack.read(index)


@pytest.fixture
def watched(arm):
    return replace(arm.particles, images=WatchedStack(arm.particles.images))


@pytest.mark.parametrize("loss", ["snr", "flat"])
def test_batches_are_the_same_bits_however_much_is_kept(arm, options, untrained, loss):
    """And in whichever batches the particles came before: a resumed run meets others."""
    model = untrained
    if loss == "flat":
        model = build_model(arm.particles, arm.neutral, 3.0, 10.0, replace(options, loss="flat"))
    index = torch.tensor([3, 200, 17, 5, 3, 101])
    each = 10 * 6 + 24 + 4 * len(prepare(arm.particles, model, 0)._band)
    found = []
    for memory_bytes in (0, 3 * each, 1e9):
        for before in ([], [[3]], [[101, 17], list(range(0, 240, 3))], [list(range(240))]):
            prepared = prepare(arm.particles, model, memory_bytes)
            for part in before:
                prepared.batch(torch.tensor(part))
            found.append(prepared.batch(index))
    for other in found[1:]:
        assert_same(found[0], other)


def test_every_size_of_batch_gives_the_same_bits(arm, untrained):
    prepared = prepare(arm.particles, untrained, 0)
    whole = prepared.batch(torch.arange(240))
    for size in (1, 2, 3, 7, 31):
        for part in torch.arange(31).split(size):
            assert_same(prepared.batch(part), whole[part])


def test_a_particle_alone_gives_the_same_bits_in_a_large_box(make_particles, arm, options):
    """A single transform takes another way through the library than many."""
    generator = torch.Generator().manual_seed(2)
    particles = make_particles(
        arm.neutral, random_poses(6, generator), FourierGrid(128, 1.5), noise=1.0
    )
    model = build_model(particles, arm.neutral, 3.0, 4.0, options)
    prepared = prepare(particles, model, 0)
    whole = prepared.batch(torch.arange(6))
    for size in (1, 4):
        for part in torch.arange(6).split(size):
            assert_same(prepared.batch(part), whole[part])


def test_the_neutral_score_is_that_of_the_rounded_images(arm, untrained):
    """Otherwise the rounding would count as gained or lost score."""
    prepared = prepare(arm.particles, untrained, 1e9).batch(torch.arange(40))
    gradient, score = neutral_gradient(untrained.decoder, prepared.particles, untrained.metric)
    assert torch.equal(score, prepared.neutral_score)
    torch.testing.assert_close(gradient, prepared.gradient, rtol=5e-4, atol=1e-3)


def test_no_particles_are_a_batch_too(arm, untrained):
    """A process may have no share of a small batch."""
    none = torch.tensor([], dtype=torch.int64)
    for memory_bytes in (0, 1e9):
        prepared = prepare(arm.particles, untrained, memory_bytes)
        lengths = [len(batch) for batch in prepared.batches([none, torch.arange(3), none])]
        assert lengths == [0, 3, 0]


def test_the_encoder_input_is_that_of_single_precision_within_a_thousandth(arm, untrained):
    index = torch.arange(50)
    prepared = prepare(arm.particles, untrained, 1e9).batch(index)
    batch = read_batch(arm.particles, index, untrained.metric.grid)
    gradient, score = neutral_gradient(untrained.decoder, batch, untrained.metric)
    error = (prepared.gradient - gradient).norm(dim=1) / gradient.norm(dim=1)
    assert error.median() < 5e-4
    assert error.quantile(0.99) < 2e-3
    torch.testing.assert_close(prepared.neutral_score, score, rtol=1e-3, atol=0.02)
    kept = prepared.particles.image_ft
    inside = (untrained.metric.weight > 0).expand_as(kept)
    assert (kept[~inside] == 0).all()
    torch.testing.assert_close(kept[inside], batch.image_ft[inside], rtol=1e-3, atol=1e-3)
    assert torch.equal(prepared.particles.transfer, batch.transfer)


def test_images_are_read_once_if_they_fit(watched, untrained):
    prepared = prepare(watched, untrained, 1e9)
    watched.images.read_so_far.clear()
    for _ in range(3):
        for _ in prepared.batches(torch.randperm(240).split(32)):
            pass
    assert sorted(watched.images.read_so_far) == list(range(240))


def test_what_does_not_fit_is_read_each_time(watched, untrained):
    each = 10 * 6 + 24 + 4 * len(prepare(watched, untrained, 0)._band)
    prepared = prepare(watched, untrained, 100.5 * each)
    watched.images.read_so_far.clear()
    for _ in range(2):
        for part in torch.arange(240).split(32):
            prepared.batch(part)
    assert watched.images.read_so_far == [*range(240), *range(100, 240)]


def test_batches_come_in_order_and_equal_single_ones(arm, untrained):
    order = torch.randperm(240, generator=torch.Generator().manual_seed(0)).split(50)
    ahead, plain = prepare(arm.particles, untrained, 3e5), prepare(arm.particles, untrained, 0)
    found = list(ahead.batches(order))
    assert len(found) == len(order)
    for index, batch in zip(order, found, strict=True):
        assert_same(batch, plain.batch(index))
    assert readers() == []


def test_images_are_read_while_a_batch_is_used_but_not_far_ahead(watched, untrained):
    prepared = prepare(watched, untrained, 0)
    batches = prepared.batches(torch.arange(240).split(20))
    next(batches)
    deadline = time.monotonic() + 10
    while len(watched.images.read_so_far) < 60 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert watched.images.read_so_far == list(range(60))
    batches.close()
    assert readers() == []


def test_an_error_of_the_reader_is_raised_here(arm, untrained):
    images = WatchedStack(arm.particles.images, bad=70)
    prepared = prepare(replace(arm.particles, images=images), untrained, 1e9)
    used = []

    def use():
        for batch in prepared.batches(torch.arange(240).split(32)):
            used.append(len(batch))

    with pytest.raises(InputFileError, match=r"^stack\.mrcs: image 70 is bad$"):
        use()
    assert used == [32, 32]
    assert readers() == []


@pytest.mark.parametrize("reason", [KeyboardInterrupt, ZeroDivisionError])
def test_nothing_runs_on_after_an_error_in_the_loop(arm, untrained, reason):
    prepared = prepare(arm.particles, untrained, 1e9)

    def use():
        for _ in prepared.batches(torch.arange(240).split(32)):
            raise reason

    with pytest.raises(reason):
        use()
    assert readers() == []


def test_training_ends_with_the_same_bits_however_much_is_kept(arm, options):
    found = []
    for memory_bytes in (0, 4e4, 1e9):
        model = build_model(arm.particles, arm.neutral, 3.0, 10.0, options)
        prepared = prepare(arm.particles, model, memory_bytes)
        train(
            model, prepared, replace(options, epochs=2),
            state=None, save=lambda _: None, report=lambda *_: None,
        )  # fmt: skip
        found.append(model.tensors())
    for other in found[1:]:
        for name, values in found[0].items():
            assert torch.equal(other[name], values), name


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_batches_come_on_the_device_of_the_metric(arm, untrained):
    metric, decoder = untrained.metric, untrained.decoder
    plain = prepare(arm.particles, untrained, 0).batch(torch.arange(40))
    moved = replace(metric, gain=metric.gain.cuda(), weight=metric.weight.cuda())
    prepared = PreparedParticles(arm.particles, decoder.cuda(), moved, memory_bytes=1e5)
    for _ in range(2):
        for batch in prepared.batches(torch.arange(40).split(40)):
            assert batch.gradient.is_cuda
            assert batch.particles.image_ft.is_cuda
            assert batch.particles.poses.shift.is_cuda
            error = (batch.gradient.cpu() - plain.gradient).norm() / plain.gradient.norm()
            assert error < 2e-3
