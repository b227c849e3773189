"""Readers, good files for each, and how a good file becomes a hostile one."""

import bz2
import contextlib
import gzip
import io
import random
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from cryomix.commands.record import read_source
from cryomix.errors import CryomixError
from cryomix.files import checkpoint, training
from cryomix.files.dcd import open_dcd
from cryomix.files.domain_motions import read_domain_motions, write_domain_motions
from cryomix.files.job import JobFolder
from cryomix.files.mrc import open_stack, read_volume, read_voxel_size, write_stack, write_volume
from cryomix.files.neutral_model import read_neutral
from cryomix.files.noise_spectrum import read_noise_spectrum
from cryomix.files.particle_file import (
    columns_of_numbers,
    read_column,
    read_particles,
    read_text_column,
    write_latents,
    write_particles,
)
from cryomix.files.pose_state import read_pose_state, write_pose_state
from cryomix.files.run_record import write_run_record
from cryomix.files.star import read_star
from cryomix.files.structure import read_structure
from cryomix.files.truth import read_truth
from cryomix.files.volume_list import VolumeEntry, read_volume_list, update_volume_list
from cryomix.fitting.heterogeneity import Epoch, TrainingState
from cryomix.fitting.pose_prior import PosePrior
from cryomix.fitting.pose_rounds import PoseRound, PoseState
from cryomix.fitting.trained_model import ModelSettings, TrainedModel
from cryomix.geometry.poses import random_poses
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.noise import Spectrum
from cryomix.imaging.volume import Volume
from cryomix.latent.localized_path import DomainMotion
from cryomix.latent.screw_motion import ScrewMotion

Read = Callable[[Path], object]


@dataclass(frozen=True)
class Reader:
    """A kind of file: its name, what reads it, and some good ones."""

    name: str
    reads: tuple[Read, ...]
    seeds: tuple[bytes, ...]

    def try_on(self, content: bytes, folder: Path) -> None:
        """Read `content`; only a mistake of the user's may come out."""
        path = folder / self.name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for read in self.reads:
                with contextlib.suppress(CryomixError):
                    read(path)


def make_readers(folder: Path) -> dict[str, Reader]:
    """All readers; `folder` takes the files that good ones refer to."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        seeds = dict(_make_seeds(folder))
    readers: dict[str, tuple[str, tuple[Read, ...]]] = {
        "star": ("x.star", (_read_and_write_star, _read_columns)),
        "mrc": ("x.mrc", (read_volume, read_voxel_size, _read_stack)),
        "gz": ("x.mrc.gz", (read_volume,)),
        "toml": ("run.toml", (lambda path: read_source(JobFolder(path.parent)),)),
        "csv": ("x.csv", (checkpoint.read_csv, checkpoint.read_number_rows, read_noise_spectrum)),
        "npy": ("x.npy", (checkpoint.read_array, lambda path: training.read_latents(path, 2))),
        "npz": ("x.npz", (read_truth, read_noise_spectrum)),
        "safetensors": (
            "x.safetensors",
            (
                read_neutral,
                training.read_model,
                training.read_state,
                training.read_unfinished,
                read_pose_state,
            ),
        ),
        "maps": ("maps.json", (lambda path: read_volume_list(path.parent),)),
        "domains": ("domains.json", (read_domain_motions,)),
        "dcd": ("x.dcd", (_read_ends_of_trajectory,)),
        "cs": ("J24/x_particles.cs", (_read_and_write_particles, _read_columns)),
        "lst": ("sets/x.lst", (_read_and_write_particles, _read_columns)),
        "hdf": ("particles/x.hdf", (_read_and_write_particles, _read_images)),
        "pdb": ("x.pdb", (read_structure,)),
        "cif": ("x.cif", (read_structure,)),
    }
    return {kind: Reader(*reader, tuple(seeds[kind])) for kind, reader in readers.items()}


def _read_and_write_star(path: Path) -> None:
    star = read_star(path)
    read_particles(path)
    again = path.with_name("again.star")
    write_particles(path, again, rows=np.arange(1), added={"cryomixLatent1": np.array([0.5])})
    assert [block.name for block in read_star(again).blocks] == [
        block.name for block in star.blocks
    ]


def _read_and_write_particles(path: Path) -> None:
    read_particles(path)
    again = path.with_name(f"again{path.suffix}")
    write_latents(path, again, np.full((1, 2), 0.5, np.float32), rows=np.arange(1))
    read_particles(again)


def _read_columns(path: Path) -> None:
    for name, is_number in islice(columns_of_numbers(path).items(), 3):
        (read_column if is_number else read_text_column)(path, name)


def _read_images(path: Path) -> None:
    particles = read_particles(path)
    particles.images.read(torch.tensor([0, len(particles) - 1]))


def _read_stack(path: Path) -> None:
    stack = open_stack(path)
    stack.read(torch.tensor([0, len(stack) - 1]))


def _read_ends_of_trajectory(path: Path) -> None:
    trajectory = open_dcd(path)
    trajectory.read(np.array([0, trajectory.frames - 1]))


_TOKENS = [
    b"nan", b"inf", b"-inf", b"-1", b"0", b"1e999", b"1e-320", b"18446744073709551616", b"''",
    b'"', b"'", b"#", b"loop_", b"data_", b"_a", b"\xff", b"\0", b"../", b"{", b"[" * 3000, b"]",
    b"true", b"null", b"9" * 5000, b"\r", b"\n", b"|O", b"<U9999999", b"PK\x01\x02",
]  # fmt: skip
_NUMBERS = (0, 1, -1, 2**31 - 1, -(2**31), 2**16, 255, 1024, 10**9)


def mutate(content: bytes, other: bytes, chance: random.Random) -> bytes:
    """`content` with one to six changes; some of them take pieces of `other`."""
    changed = bytearray(content)
    for _ in range(chance.randint(1, 6)):
        place = chance.randrange(len(changed) + 1)
        stop = min(len(changed), place + 2 ** chance.randrange(9))
        kind = chance.randrange(8)
        if kind == 0 and place < len(changed):
            changed[place] ^= 1 << chance.randrange(8)
        elif kind == 1:
            number = chance.choice(_NUMBERS)
            order = chance.choice(("little", "big"))
            place -= place % 4
            changed[place : place + 4] = number.to_bytes(4, order, signed=number < 2**31)
        elif kind == 2:
            del changed[place:stop]
        elif kind == 3:
            changed[place:place] = changed[place:stop] * chance.choice((1, 1, 3, 60))
        elif kind == 4:
            changed[place : place + chance.randrange(8)] = chance.choice(_TOKENS)
        elif kind == 5:
            start = chance.randrange(len(other) + 1)
            changed[place:stop] = other[start : start + stop - place]
        elif kind == 6:
            del changed[place:]
        else:
            changed[place:stop] = chance.randbytes(stop - place)
        if len(changed) > 2**16:
            del changed[2**16 :]
    return bytes(changed)


def _make_seeds(folder: Path) -> Iterator[tuple[str, list[bytes]]]:
    from files_of_eman2 import Eman2Set, write_hdf
    from files_of_others import CryosparcFile, ParticleFile
    from test_dcd import dcd

    particles = ParticleFile(folder)
    stars = [particles.write().read_bytes()]
    particles.optics = []
    particles.set("rlnImagePixelSize", 2.0)
    for label in ("rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast"):
        particles.set(label, 0.1)
    particles.set("rlnMicrographName", "'a b.mrc'", '"c"', "d#e")
    yield "star", [*stars, particles.write().read_bytes()]

    path = folder / "seed"
    write_volume(path, Volume(torch.rand(6, 6, 6), 2.0, (1.0, 2.0, 3.0)))
    volume = path.read_bytes()
    write_stack(path, [torch.rand(5, 6, 6)], 2.0)
    yield "mrc", [volume, path.read_bytes()]
    yield "gz", [gzip.compress(volume, mtime=0), bz2.compress(volume)]

    options = {"particles": str(particles.path), "half": "odd", "latent_size": 4, "loss": "snr"}
    write_run_record(path, "train", options, [particles.path], 0, "cpu")
    yield "toml", [path.read_bytes()]
    yield "csv", [b"ring,frequency,frc\n0,0.0,1.0\n1,0.01,0.5\n", b"0 1.5\n1 2.5\n", b"1,2\n3,4\n"]
    yield "npy", [_npy(np.ones((3, 2), np.float32)), _npy(np.asfortranarray(np.eye(3)[:, :2]))]
    packed = io.BytesIO()
    np.savez(packed, which=np.arange(5), t=np.linspace(0, 1, 5), cyclic=np.array(True))
    yield "npz", [packed.getvalue()]
    yield "safetensors", list(_make_tensor_files(path))
    update_volume_list(folder, {"cluster01": VolumeEntry(5, 8.5), "curve001": VolumeEntry(5, None)})
    yield "maps", [(folder / "maps.json").read_bytes()]
    axis, hinge = torch.eye(3, dtype=torch.float64)[:2]
    rigid = ScrewMotion(31.5, 2.0, axis, 3.0, 4 * hinge, -1.5, 0.2, 12.0, 0.97)
    write_domain_motions(path, [DomainMotion("arm", 77, 20.5, 0.75, 0.98, rigid)])
    yield "domains", [path.read_bytes()]
    position = np.ones((3, 4, 3), np.float32)
    yield "dcd", [dcd(position), dcd(position, order=">", cell=True, fourth=True)]
    table = CryosparcFile(folder)
    yield "cs", [table.write().read_bytes()]
    listed = Eman2Set(folder)
    yield "lst", [listed.write().read_bytes()]
    plain = listed.stack.read_bytes()
    headers = [{**header, "xform.projection": listed.matrices[0]} for header in listed.headers]
    write_hdf(path, listed.images, headers, bits=8)
    yield "hdf", [plain, path.read_bytes()]
    yield (
        "pdb",
        [_PDB * 2, b"MODEL        1\n" + _PDB + b"ENDMDL\nMODEL        2\n" + _PDB + b"ENDMDL\n"],
    )
    yield "cif", [_CIF]


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _make_tensor_files(path: Path) -> Iterator[bytes]:
    neutral = GaussianModel(torch.rand(3, 3), torch.full((3,), 0.5), torch.full((3,), 3.0))
    units = {"base_width": "3.0", "box_length": "96.0", "resolution": "10.0"}
    checkpoint.write_gaussians(path, neutral, units)
    yield path.read_bytes()
    for decoder in ("dense", "shared"):
        settings = ModelSettings(8, 4.0, 10.0, 3.0, 1, 2, "snr", ("centers",), decoder)
        rings = torch.ones(settings.grid.n_rings)
        model = TrainedModel(settings, neutral, Spectrum(rings, rings, rings, torch.ones(())))
        training.write_model(path, model)
        yield path.read_bytes()
    epoch = Epoch(1, 0.5, 0.25, 1e-4)
    tensors = {f"model.{name}": value for name, value in model.tensors().items()}
    tensors |= {"latent": torch.rand(4, 1), "held_out": torch.arange(4) > 2}
    training.write_state(path, TrainingState(tensors, (epoch,), 1, 0.5), settings)
    yield path.read_bytes()
    poses = random_poses(2, torch.Generator().manual_seed(0))
    rounds = (PoseRound(0, 10.5, 20.0, 0.0, 0.0, 1.0, 1.0),)
    prior = PosePrior(0.07, 8.1)
    write_pose_state(path, PoseState(rounds, poses, prior, poses, torch.rand(2), {}, 0, True))
    yield path.read_bytes()


_PDB = (
    b"ATOM      1  N   GLY A   1      -6.778  -1.424   4.200  1.00  0.00           N  \n"
    b"ATOM      2  CA AGLY A   1      -6.878  -0.708   2.896  1.00  0.00           C  \n"
    b"ATOM      3  CA BGLY A   1      -6.878  -0.708   2.896  1.00  0.00           C  \n"
    b"HETATM    4 ZN    ZN B 201       1.000   2.000   3.000  1.00  0.00          ZN2+\n"
)
_CIF = (
    b"data_x\nloop_\n_atom_site.group_PDB\n_atom_site.id\n_atom_site.type_symbol\n"
    b"_atom_site.label_atom_id\n_atom_site.label_alt_id\n_atom_site.label_comp_id\n"
    b"_atom_site.label_asym_id\n_atom_site.label_seq_id\n_atom_site.Cartn_x\n_atom_site.Cartn_y\n"
    b"_atom_site.Cartn_z\n_atom_site.auth_seq_id\n_atom_site.auth_asym_id\n"
    b"_atom_site.pdbx_PDB_model_num\nATOM 1 N N . GLY A 1 -6.7 -1.4 4.2 1 A 1\n"
    b"ATOM 2 C CA . GLY A 1 -6.8 -0.7 2.8 1 A 1\nHETATM 3 C C1 A LIG B 1 1 2 3 5 B 1\n"
)
