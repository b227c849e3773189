"""One test per sentence of docs/conventions.md, in the same order, each quoting its sentence."""

import math
from dataclasses import fields, replace

import pytest
import torch
from scipy.spatial.transform import Rotation

from cryomix import options
from cryomix.files.relion import read_poses
from cryomix.fitting.networks import DenseDecoder, varying_parameters
from cryomix.fitting.score import make_metric, score_projections
from cryomix.fitting.shared_decoder import SharedDecoder
from cryomix.geometry.fourier import FourierGrid, sum_over_rings, to_fourier, to_real
from cryomix.geometry.poses import Poses, euler_to_rotation
from cryomix.imaging.ctf import Ctf, evaluate_ctf
from cryomix.imaging.gaussians import GaussianModel, render_volume
from cryomix.imaging.noise import Spectrum
from cryomix.imaging.particles import ParticleBatch
from cryomix.imaging.projection import project_gaussians
from cryomix.imaging.volume import project_volume
from cryomix.simulation import simulate_particles


def one_gaussian(x=0.0, y=0.0, z=0.0, width=4.0):
    return GaussianModel(torch.tensor([[x, y, z]]), torch.ones(1), torch.tensor([width]))


def pose(rotation=None, shift=(0.0, 0.0)):
    rotation = torch.eye(3) if rotation is None else rotation
    return Poses(rotation[None].float(), torch.tensor([shift], dtype=torch.float32))


def brightest(image):
    """(row, column) of the largest pixel."""
    return divmod(int(image.argmax()), image.shape[-1])


def one_ctf(**values):
    given = {
        "defocus_u": 15000.0, "defocus_v": 15000.0, "defocus_angle_deg": 0.0, "voltage_kv": 300.0,
        "spherical_aberration_mm": 2.7, "amplitude_contrast": 0.1, "phase_shift_deg": 0.0, **values,
    }  # fmt: skip
    return Ctf(**{name: torch.tensor([value]) for name, value in given.items()})


def test_axes():
    """Arrays are indexed (z, y, x) or (y, x); coordinates are listed (x, y, z)."""
    model = one_gaussian(x=6.0, y=-4.0, z=8.0)
    density = render_volume(model, 32, 2.0).density
    z, rest = divmod(int(density.argmax()), 32 * 32)
    assert (z, *divmod(rest, 32)) == (16 + 4, 16 - 2, 16 + 3)
    image = to_real(project_gaussians(model, pose(), FourierGrid(32, 2.0)))[0]
    assert brightest(image) == (16 - 2, 16 + 3)


@pytest.mark.parametrize("n", [16, 17])
def test_center(n):
    """The image centre is pixel n // 2, and phases are measured from it."""
    image = torch.zeros(n, n)
    image[n // 2, n // 2] = 1
    torch.testing.assert_close(to_fourier(image), torch.ones(n, n // 2 + 1, dtype=torch.complex64))
    projection = project_gaussians(one_gaussian(), pose(), FourierGrid(n, 2.0))[0]
    assert brightest(to_real(projection)) == (n // 2, n // 2)
    assert projection.imag.abs().max() < 1e-4 * projection.abs().max()


def test_rotation():
    """A rotation is model to view, `r_view = R @ r_model`; the beam runs along view z."""
    quarter = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])  # x to y
    grid = FourierGrid(32, 2.0)
    model = one_gaussian(x=10.0, z=6.0)
    image = to_real(project_gaussians(model, pose(quarter), grid))[0]
    assert brightest(image) == (16 + 5, 16)
    onto_z = torch.tensor([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])  # x to z
    image = to_real(project_gaussians(model, pose(onto_z), grid))[0]
    assert brightest(image) == (16, 16 - 3)
    same = to_real(project_volume(render_volume(model, 32, 2.0), pose(onto_z), grid))[0]
    assert brightest(same) == (16, 16 - 3)


def test_shift():
    """A shift (x, y) in Å moves the projected model towards larger column, larger row."""
    image = to_real(project_gaussians(one_gaussian(), pose(shift=(6, -8)), FourierGrid(32, 2.0)))[0]
    assert brightest(image) == (16 - 4, 16 + 3)


def test_origin(tmp_path):
    """RELION's origin is the negative of our shift."""
    poses = read_poses(write_star(tmp_path / "one.star", origin=(-6.0, 8.0)))
    assert poses.shift.tolist() == [[6.0, -8.0]]


def test_euler_angles(tmp_path):
    """RELION's (rot, tilt, psi) is intrinsic ZYZ in degrees, and its matrix is our `rotation`."""
    euler_deg = (20.0, 70.0, -130.0)
    # RELION's A takes the map to the view; scipy's intrinsic ZYZ takes the view to the map.
    expected = torch.from_numpy(
        Rotation.from_euler("ZYZ", euler_deg, degrees=True).inv().as_matrix()
    )
    found = euler_to_rotation(torch.tensor([euler_deg], dtype=torch.float64))[0]
    torch.testing.assert_close(found, expected)
    read = read_poses(write_star(tmp_path / "one.star", euler=euler_deg)).rotation[0]
    torch.testing.assert_close(read, expected.float())


def test_units():
    """Lengths are Å and spatial frequencies Å⁻¹; anything else carries its unit in its name."""
    grid = FourierGrid(32, 2.0)
    assert grid.frequency_x.max() == 1 / (2 * 2.0)
    assert grid.box_length == 64.0
    units = {"degrees": "_deg", "kV": "_kv", "mm": "_mm"}
    knobs = [
        field
        for kind in vars(options).values()
        if isinstance(kind, type) and hasattr(kind, "__dataclass_fields__")
        for field in fields(kind)
    ]
    assert len(knobs) > 10
    for knob in knobs:
        words = knob.metadata["help"].replace(",", " ").split()
        for word, ending in units.items():
            assert (word in words) == knob.name.endswith(ending), knob.name


@pytest.mark.parametrize("n", [16, 17])
def test_half_plane(n):
    """Sums over the half plane count each coefficient of the full plane once."""
    image = torch.randn(n, n, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    grid = FourierGrid(n, 2.0)
    half = (to_fourier(image).abs().square() * grid.multiplicity).sum()
    full = torch.fft.fft2(image).abs().square().sum()
    torch.testing.assert_close(half, full)
    ones = torch.ones(n, grid.half_size, dtype=torch.float64)
    assert sum_over_rings(ones, grid)[1] == 8  # (±1, 0), (0, ±1) and (±1, ±1)


def test_rings():
    """Ring k holds radii between k − ½ and k + ½ Fourier pixels, and rings run to Nyquist."""
    grid = FourierGrid(16, 3.0)
    radius_px = grid.radius * grid.box_length
    for ring in range(grid.n_rings):
        inside = grid.ring == ring
        assert radius_px[inside].min() > ring - 0.5
        assert radius_px[inside].max() < ring + 0.5
    assert grid.n_rings == 16 // 2 + 1
    assert (grid.n_rings - 1) / grid.box_length == pytest.approx(1 / (2 * 3.0))


def test_means_over_rings():
    """Means over rings leave out ring 0."""
    grid = FourierGrid(16, 3.0)
    projection = project_gaussians(one_gaussian(x=6.0), pose(), grid)
    ones = torch.ones(grid.n_rings)
    batch = ParticleBatch(projection, torch.ones_like(projection.real), pose(), torch.tensor([0]))
    brighter = projection.clone()
    brighter[:, 0, 0] *= -5
    for kind in ("flat", "snr"):
        metric = make_metric(kind, Spectrum(ones, ones, ones, torch.tensor(0.01)), grid, 8.0)
        expected = score_projections(projection, batch, metric)
        torch.testing.assert_close(score_projections(brighter, batch, metric), expected)
        assert expected > 0


@pytest.mark.parametrize("network", [DenseDecoder, SharedDecoder])
@pytest.mark.parametrize("kinds", [("centers", "amplitudes", "widths"), ("amplitudes",)])
def test_latent_zero(kinds, network):
    """Latent 0 decodes to the neutral model."""
    generator = torch.Generator().manual_seed(2)
    center = torch.rand(20, 3, generator=generator) * 40 - 20
    amplitude, width = 0.2 + 0.6 * torch.rand(2, 20, generator=generator)
    neutral = GaussianModel(center, amplitude, 5 * width + 3)
    decoder = network(neutral, 64.0, 6.0, varying_parameters(20, kinds), 3, 16)
    for parameter in decoder.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    models = decoder(torch.stack([torch.ones(3), torch.zeros(3)]))
    for name in ("center", "amplitude", "width"):
        torch.testing.assert_close(getattr(models, name)[1], getattr(neutral, name), rtol=0, atol=0)
    assert (models.amplitude[0] - neutral.amplitude).abs().max() > 0.01


def test_projection():
    """A projection is the line integral of the density."""
    width, pixel_size = 5.0, 2.0
    model = one_gaussian(width=width)
    grid = FourierGrid(32, pixel_size)
    image = to_real(project_gaussians(model, pose(), grid))[0]
    assert image.max().item() == pytest.approx(math.sqrt(2 * math.pi) * width, rel=1e-3)
    along_z = render_volume(model, 32, pixel_size).density.sum(0) * pixel_size
    torch.testing.assert_close(image, along_z, atol=2e-2, rtol=1e-3)


def test_contrast():
    """Protein is positive (white), in maps and in images."""
    simulation = simulate_particles("linear", 20, 16, 8.0, 10.0, seed=1)
    assert simulation.consensus.density.max() > -10 * simulation.consensus.density.min()
    grid = simulation.particles.grid
    image_ft = to_fourier(simulation.particles.images.read(torch.arange(20)))
    flipped = image_ft * evaluate_ctf(simulation.particles.ctf, grid).sign()
    projection = project_volume(simulation.consensus, simulation.poses, grid)
    assert (sum_over_rings((flipped * projection.conj()).real, grid)[:, 1:4] > 0).all()


def test_ctf():
    """The CTF is sin(χ + asin(amplitude contrast)), positive at low resolution for underfocus."""
    grid = FourierGrid(256, 1.5)
    value = evaluate_ctf(one_ctf(), grid)[0]
    assert value[0, 0].item() == pytest.approx(0.1)
    k = grid.frequency_x
    volt, wavelength = 3e5, 12.2643247 / math.sqrt(3e5 * (1 + 0.978466e-6 * 3e5))
    assert wavelength == pytest.approx(0.0196875, rel=1e-4), volt
    chi = math.pi * wavelength * 15000 * k**2 - 0.5 * math.pi * 2.7e7 * wavelength**3 * k**4
    expected = torch.sin(chi + math.asin(0.1)).float()
    torch.testing.assert_close(value[0], expected, atol=2e-3, rtol=0)
    first_zero = 1 / math.sqrt(wavelength * 15000)
    assert (value[0][(k > 0) & (k < 0.9 * first_zero)] > 0).all()
    over = evaluate_ctf(one_ctf(defocus_u=-15000.0, defocus_v=-15000.0), grid)[0]
    assert (over[0][(k > 0.3 * first_zero) & (k < 0.9 * first_zero)] < 0).all()


def test_defocus_angle():
    """The defocus angle runs counter-clockwise from x to the axis of `defocus_u`."""
    grid = FourierGrid(64, 2.0)
    ctf = one_ctf(defocus_u=20000.0, defocus_v=12000.0, defocus_angle_deg=90.0)
    value = evaluate_ctf(ctf, grid)[0]
    along_u = evaluate_ctf(replace(ctf, defocus_v=ctf.defocus_u), grid)[0]
    along_v = evaluate_ctf(replace(ctf, defocus_u=ctf.defocus_v), grid)[0]
    torch.testing.assert_close(value[:20, 0], along_u[:20, 0], atol=1e-3, rtol=0)
    torch.testing.assert_close(value[0, :20], along_v[0, :20], atol=1e-3, rtol=0)
    diagonal = evaluate_ctf(replace(ctf, defocus_angle_deg=torch.tensor([45.0])), grid)[0]
    steps = torch.arange(1, 20)  # +x, +y, which is counter-clockwise with y upwards
    torch.testing.assert_close(diagonal[steps, steps], along_u[steps, steps], atol=1e-3, rtol=0)
    assert (diagonal[-steps, steps] - along_u[-steps, steps]).abs().max() > 0.1


def write_star(path, euler=(0.0, 0.0, 0.0), origin=(0.0, 0.0)):
    names = [
        "rlnImageName", "rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi",
        "rlnOriginXAngst", "rlnOriginYAngst", "rlnOpticsGroup",
    ]  # fmt: skip
    columns = "".join(f"_{name} #{n}\n" for n, name in enumerate(names, 1))
    values = " ".join(f"{value:.6f}" for value in (*euler, *origin))
    optics = "data_optics\n\nloop_\n_rlnOpticsGroup #1\n_rlnImagePixelSize #2\n1 2.0\n\n"
    path.write_text(f"{optics}data_particles\n\nloop_\n{columns}1@one.mrcs {values} 1\n")
    return path
