"""Files as other programs write them."""

from pathlib import Path

import mrcfile
import numpy as np

OPTICS = {
    "rlnOpticsGroup": 1,
    "rlnOpticsGroupName": "opticsGroup1",
    "rlnVoltage": 300.0,
    "rlnSphericalAberration": 2.7,
    "rlnAmplitudeContrast": 0.1,
    "rlnImagePixelSize": 2.0,
    "rlnImageSize": 8,
    "rlnImageDimensionality": 2,
}
PARTICLE = {
    "rlnAngleRot": 10.0,
    "rlnAngleTilt": 20.0,
    "rlnAnglePsi": 30.0,
    "rlnOriginXAngst": 3.0,
    "rlnOriginYAngst": -4.0,
    "rlnDefocusU": 12000.0,
    "rlnDefocusV": 11000.0,
    "rlnDefocusAngle": 45.0,
    "rlnOpticsGroup": 1,
}


def write_stack_file(path: Path, images: np.ndarray, pixel_size: float = 2.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with mrcfile.new(path, overwrite=True) as file:
        file.set_data(images)
        file.set_image_stack()
        file.voxel_size = pixel_size


def loop(name: str, rows: list[dict[str, object]]) -> str:
    labels = "".join(f"_{label} #{number}\n" for number, label in enumerate(rows[0], 1))
    lines = "".join(" ".join(str(value) for value in row.values()) + "\n" for row in rows)
    return f"\n# version 30001\ndata_{name}\n\nloop_\n{labels}{lines}\n"


class ParticleFile:
    """A RELION 3.1 file of three particles that a test changes before it is written."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "particles.star"
        self.optics: list[dict[str, object]] = [dict(OPTICS)]
        self.particles: list[dict[str, object]] = [
            {"rlnImageName": f"{number:06d}@stack.mrcs", **PARTICLE} for number in (1, 2, 3)
        ]
        generator = np.random.default_rng(0)
        self.images = generator.normal(size=(3, 8, 8)).astype(np.float32)
        write_stack_file(folder / "stack.mrcs", self.images)

    def set(self, label: str, *values: object) -> None:
        """Give all particles one value, or each its own."""
        for number, row in enumerate(self.particles):
            row[label] = values[number % len(values)]

    def drop(self, *labels: str) -> None:
        for row in (*self.particles, *self.optics):
            for label in labels:
                row.pop(label, None)

    def write(self) -> Path:
        optics = loop("optics", self.optics) if self.optics else ""
        name = "particles" if self.optics else ""
        self.path.write_text(optics + loop(name, self.particles))
        return self.path


CRYOSPARC_PARTICLE = {
    "blob/path": ("S40", b"J3/extract/stack.mrc"),
    "blob/idx": ("<u4", 0),
    "blob/shape": ("<u4", (8, 8)),
    "blob/psize_A": ("<f4", 2.0),
    "blob/sign": ("<f4", -1.0),
    "ctf/type": ("S9", b"imported"),
    "ctf/accel_kv": ("<f4", 300.0),
    "ctf/cs_mm": ("<f4", 2.7),
    "ctf/amp_contrast": ("<f4", 0.1),
    "ctf/df1_A": ("<f4", 12000.0),
    "ctf/df2_A": ("<f4", 11000.0),
    "ctf/df_angle_rad": ("<f4", 0.5),
    "ctf/phase_shift_rad": ("<f4", 0.0),
    "ctf/anisomag": ("<f4", (0.0,) * 4),
    "alignments3D/split": ("<u4", 0),
    "alignments3D/shift": ("<f4", (1.5, -2.0)),
    "alignments3D/pose": ("<f4", (0.3, -0.2, 0.1)),
    "alignments3D/psize_A": ("<f4", 4.0),
}


class CryosparcFile:
    """A .cs file of three particles in J24 of a project, whose stack is in J3."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.path = project / "J24" / "cryosparc_P1_J24_003_particles.cs"
        self.fields: dict[str, np.ndarray] = {"uid": np.array([7, 2**63 + 5, 1], "<u8")}
        for name, (kind, value) in CRYOSPARC_PARTICLE.items():
            self.fields[name] = np.array([value] * 3, kind)
        self.set("blob/idx", 0, 1, 2)
        generator = np.random.default_rng(0)
        self.images = generator.normal(size=(3, 8, 8)).astype(np.float32)
        write_stack_file(project / "J3" / "extract" / "stack.mrc", self.images)

    def set(self, name: str, *values: object) -> None:
        """Give all particles one value, or each its own."""
        kind = self.fields[name].dtype
        self.fields[name] = np.array([values[row % len(values)] for row in range(3)], kind)

    def move(self, group: str, file: str, order: tuple[int, ...] = (0, 1, 2)) -> Path:
        """Take a group of fields out of this file and put it into a passthrough file."""
        taken = [name for name in self.fields if name.startswith(group)]
        fields = {"uid": self.fields["uid"], **{name: self.fields.pop(name) for name in taken}}
        path = self.path.with_name(file)
        save_table(path, {name: values[list(order)] for name, values in fields.items()})
        return path

    def write(self) -> Path:
        save_table(self.path, self.fields)
        return self.path


def save_table(path: Path, fields: dict[str, np.ndarray]) -> None:
    """As NumPy writes it."""
    kinds = [(name, values.dtype, values.shape[1:]) for name, values in fields.items()]
    table = np.empty(len(next(iter(fields.values()))), kinds)
    for name, values in fields.items():
        table[name] = values
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        np.save(file, table)
