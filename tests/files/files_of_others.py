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
