"""Maps of states: kernels per shell, chosen where noise and blur balance."""

from dataclasses import replace

import pytest
import torch

from cryomix.geometry.fourier import FourierGrid
from cryomix.geometry.poses import Poses, random_poses
from cryomix.imaging.correlation import shell_correlation, shell_power, shell_sizes
from cryomix.imaging.gaussians import GaussianModel, render_volume
from cryomix.imaging.volume import Volume
from cryomix.latent.kernel import fit_kernel, kernel_sizes
from cryomix.reconstruction import backprojection, states
from cryomix.reconstruction.backprojection import reconstruct
from cryomix.reconstruction.resolution import average
from cryomix.reconstruction.states import choose_kernels, choose_sizes, reconstruct_states

BOX, PIXEL = 24, 6.0


def model_at(t):
    """A still body and a domain that is at x = 40 t Å, t from 0 to 1."""
    still = torch.tensor([[-25.0, -20, 0], [0, -25, 10], [20, -20, -10], [0, -10, 0]])
    center = torch.cat([still, torch.tensor([[40 * t - 20, 25.0, 0], [40 * t - 20, 37, 5]])])
    return GaussianModel(center, torch.ones(6), 6.0 * torch.ones(6))


def moving_set(make_particles, count, noise, seed=0):
    """Particles of 21 states, and their coordinates."""
    generator = torch.Generator().manual_seed(seed)
    poses = Poses(random_poses(count, generator).rotation, torch.zeros(count, 2))
    state = torch.arange(count) // 2 % 21  # pairs, so that both half sets see every state
    grid = FourierGrid(BOX, PIXEL)
    images = torch.empty(count, BOX, BOX)
    for number in range(21):
        chosen = state == number
        made = make_particles(model_at(number / 20), poses[chosen], grid)
        images[chosen] = made.images.images.float()
    images /= images.std()
    images += noise * torch.randn(images.shape, generator=generator)
    first = make_particles(model_at(0.0), poses, grid)
    return replace(first, images=type(first.images)(images)), state / 20


class Kernels:
    """The kernels around a few states of a set whose coordinate is known."""

    def __init__(self, t, points):
        self.kernel = fit_kernel(t[:, None], torch.full((len(t), 1, 1), 0.01))
        self.point = torch.tensor(points)[:, None]
        self.size = kernel_sizes(len(t))
        fits = [self.kernel.fit_sizes(point, self.size) for point in self.point]
        self.sharpness = torch.stack([fit.sharpness for fit in fits])

    def distance(self, state, index):
        return self.kernel.square_distance(self.point[state], index)

    def choose(self, particles):
        chosen = choose_kernels(particles, self.distance, self.sharpness, padding=1.5)
        return torch.tensor(self.size)[chosen]

    def rebuild(self, particles, chosen):
        slope = self.sharpness[:, chosen]
        state = torch.arange(len(slope))
        return reconstruct_states(particles, self.distance, state, slope, padding=1.5)


POINTS = [0.1, 0.35, 0.65, 0.9]


def test_states_are_more_like_the_truth_than_nearest_particles(make_particles):
    particles, t = moving_set(make_particles, 2400, 4.0)
    kernels = Kernels(t, POINTS)
    chosen = choose_kernels(particles, kernels.distance, kernels.sharpness, padding=1.5)
    assert (chosen.diff() >= 0).all()
    for point, halves in zip(POINTS, kernels.rebuild(particles, chosen), strict=True):
        near = (t - point).abs().argsort()[:200].sort().values
        truth = render_volume(model_at(point), BOX, PIXEL)
        nearest = average(reconstruct(particles, near, padding=1.5))
        ours, theirs = (
            shell_correlation(volume, truth)[1:9].mean() for volume in (average(halves), nearest)
        )
        assert ours > theirs + 0.02


@pytest.mark.parametrize(("count", "noise"), [(4800, 8.0), (1200, 2.0)])
def test_a_smaller_share_of_more_or_better_particles_is_taken(make_particles, count, noise):
    particles, t = moving_set(make_particles, 1200, 8.0)
    few = Kernels(t, POINTS).choose(particles) / len(t)
    particles, t = moving_set(make_particles, count, noise)
    many = Kernels(t, POINTS).choose(particles) / len(t)
    assert many[1:8].log().mean() < few[1:8].log().mean() - 0.3


def test_a_kernel_per_shell_puts_each_shell_of_its_own_map_together(make_particles):
    """Also where all particles count, which are inserted once for all states."""
    particles, t = moving_set(make_particles, 300, 1.0)
    kernels = Kernels(t, [0.2, 0.8])
    last = len(kernels.size) - 1
    chosen = torch.where(torch.arange(13) < 6, 0, last)
    mixed = kernels.rebuild(particles, chosen)
    narrow, wide = (kernels.rebuild(particles, torch.full((13,), size)) for size in (0, last))
    for both, one, other in zip(mixed, narrow, wide, strict=True):
        assert shell_correlation(both.first, one.first)[1:5].min() > 0.99
        assert shell_correlation(both.first, other.first)[8:12].min() > 0.99
        assert shell_correlation(both.first, other.first)[3] < 0.99
    everyone = reconstruct(particles, torch.arange(300), padding=1.5)
    torch.testing.assert_close(wide[1].second.density, everyone.second.density)


def test_passes_give_the_same_maps(make_particles, monkeypatch):
    particles, t = moving_set(make_particles, 200, 1.0)
    kernels = Kernels(t, [0.0, 0.5])
    chosen = torch.where(torch.arange(13) < 6, 0, len(kernels.size) - 1)
    together = kernels.rebuild(particles, chosen)
    monkeypatch.setattr(backprojection, "MEMORY", 0)
    for one, other in zip(together, kernels.rebuild(particles, chosen), strict=True):
        torch.testing.assert_close(one.first.density, other.first.density)


def test_states_tried_one_at_a_time_give_the_same_choice(make_particles, monkeypatch):
    particles, t = moving_set(make_particles, 300, 2.0)
    kernels = Kernels(t, [0.1, 0.9])
    together = kernels.choose(particles)
    monkeypatch.setattr(states, "MEMORY", 0)
    apart = kernels.choose(particles)
    # Masks are then around one state at a time, so a shell between two kernels may tip.
    assert ((together / apart).log2().abs() <= 1).all()
    assert (together != apart).sum() <= 2


def test_particles_beyond_the_kernels_are_not_read(make_particles):
    particles, t = moving_set(make_particles, 210, 1.0)
    read = []

    class Recorder(type(particles.images)):
        def read(self, index):
            read.extend(index.tolist())
            return self.images[index]

    recorded = replace(particles, images=Recorder(particles.images.images))
    kernels = Kernels(t, [0.0])
    slope = torch.full((1, 13), 1 / 4.41)  # reaches a distance of 2.1, which is 0.21 in t
    halves = reconstruct_states(recorded, kernels.distance, torch.zeros(1).long(), slope)[0]
    assert sorted(read) == (t < 0.21).nonzero().flatten().tolist()
    near = torch.tensor(read)
    weight = 1 - kernels.distance(torch.zeros(1).long(), near)[0] / 4.41
    alone = reconstruct(particles, near, weight=weight.float())
    torch.testing.assert_close(halves.first.density, alone.first.density)


def test_the_least_error_is_found_and_shells_hold_together():
    """Synthetic normal data: bias² · size² against variance / size, whose minimum is known."""
    generator = torch.Generator().manual_seed(0)
    size = 2.0 ** torch.arange(8)
    shell = torch.arange(20.0)
    best = 2 ** (shell / 3)  # where d/ds (s² + 2 best³ / s) = 0
    error = (size[:, None] / best) ** 2 + 2 * best / size[:, None]
    found = choose_sizes(error.double())
    assert torch.equal(found, error.argmin(dim=0))
    noisy = error + 0.3 * torch.randn(error.shape, generator=generator)
    found = choose_sizes(noisy.double())
    assert (found.diff() >= 0).all()
    assert (found - error.argmin(dim=0)).abs().max() <= 1


def test_power_and_size_of_shells():
    noise = torch.randn(17, 17, 17, generator=torch.Generator().manual_seed(1))
    sizes = shell_sizes(17)
    assert sizes[:2].tolist() == [1, 18]
    power = shell_power(Volume(noise, 1.0)) / sizes / noise.numel()
    assert power[3:].mean() == pytest.approx(1, abs=0.05)
