"""Rotation, shift and CTF conventions against an independent reading of a cryoSPARC file."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from cryomix.files.cryosparc import read_poses
from cryomix.geometry.fourier import FourierGrid
from cryomix.geometry.poses import euler_to_rotation, rotation_to_euler
from cryomix.imaging.ctf import Ctf, evaluate_ctf


@pytest.fixture(scope="module")
def rows(shared_folder):
    folder = shared_folder / "data" / "metadata" / "cryosparc"
    golden = np.load(folder / "cryosparc_P12_J24_001_golden.npz", allow_pickle=False)
    own = np.load(folder / "cryosparc_P12_J24_001_particles.cs", allow_pickle=False)
    return own, golden


def test_rotation_is_the_golden_matrix(rows):
    """CryoSPARC's rotation vector is the transpose of our matrix, which survives Euler angles."""
    own, golden = rows
    ours = torch.from_numpy(Rotation.from_rotvec(own["alignments3D/pose"]).as_matrix()).mT
    back = euler_to_rotation(rotation_to_euler(ours.contiguous()))
    assert np.abs(back.numpy() - golden["cryodrgn_rotation"]).max() < 2e-6


def test_shift_is_the_golden_translation(rows):
    own, golden = rows
    fraction = own["alignments3D/shift"] / own["blob/shape"][:, :1]
    assert np.abs(fraction - golden["cryodrgn_translation_fraction_of_box"]).max() < 1e-6


def test_poses_are_read_as_the_golden_ones(shared_folder, rows):
    _, golden = rows
    path = shared_folder / "data/metadata/cryosparc/cryosparc_P12_J24_001_particles.cs"
    poses = read_poses(path)
    assert np.abs(poses.rotation.numpy() - golden["cryodrgn_rotation"]).max() < 2e-6
    fraction = -poses.shift.numpy() / (2.95 * 180)
    assert np.abs(fraction - golden["cryodrgn_translation_fraction_of_box"]).max() < 1e-6


def test_ctf_is_minus_the_golden_one(rows):
    """CryoDRGN's formula, typed from its definition; its sign is the opposite of ours."""
    own, golden = rows
    few = slice(0, 40)
    column = {name: torch.from_numpy(own[name][few].astype(np.float64)) for name in own.dtype.names
              if name.startswith("ctf/") and own[name].dtype.kind == "f"}  # fmt: skip
    ctf = Ctf(
        column["ctf/df1_A"], column["ctf/df2_A"], torch.rad2deg(column["ctf/df_angle_rad"]),
        column["ctf/accel_kv"], column["ctf/cs_mm"], column["ctf/amp_contrast"],
        torch.rad2deg(column["ctf/phase_shift_rad"]),
    )  # fmt: skip
    grid = FourierGrid(64, 4.0)
    ours = evaluate_ctf(ctf, grid).numpy()
    _, _, dfu, dfv, angle, volt, cs, w, phase = (
        golden["cryodrgn_ctf"][few].astype(float).T[:, :, None, None]
    )
    x, y = grid.frequency_x.numpy()[None, :], grid.frequency_y.numpy()[:, None]
    k2, azimuth = x**2 + y**2, np.arctan2(y, x)
    wavelength = 12.2639 / np.sqrt(volt * 1e3 + 0.97845e-6 * (volt * 1e3) ** 2)
    defocus = 0.5 * (dfu + dfv + (dfu - dfv) * np.cos(2 * (azimuth - np.deg2rad(angle))))
    gamma = 2 * np.pi * (-0.5 * defocus * wavelength * k2 + 0.25 * cs * 1e7 * wavelength**3 * k2**2)
    gamma -= np.deg2rad(phase)
    theirs = np.sqrt(1 - w**2) * np.sin(gamma) - w * np.cos(gamma)
    assert np.abs(ours + theirs).max() < 5e-3
    assert np.abs(ours - theirs).max() > 1.5
