"""Files as EMAN2 writes them, by its documented formats: no file of EMAN2's own was at hand."""

import json
from pathlib import Path

import h5py
import numpy as np

TRANSFORM = np.dtype([(f"{row}{column}", "<f4") for row in range(3) for column in range(4)])
CTF = "E1.15 0.1 45 50 10 300 2.7 2 0.0016 3,0.1,0.2,0.3 2,1,2"


def write_hdf(path, images, headers, *, bits=None):
    """One group per image; with `bits`, rounded to integers of so many and deflated."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # it may be open
    with h5py.File(path, "w") as file:
        group = file.create_group("MDF/images")
        group.attrs["imageid_max"] = np.int32(len(images) - 1)
        for number, (image, header) in enumerate(zip(images, headers, strict=True)):
            one = group.create_group(str(number))
            header = dict(header)
            if bits is None:
                one["image"] = image.astype("<f4")
            else:
                low, high = float(image.min()), float(image.max())
                stored = np.rint((image - low) / (high - low) * (2**bits - 1))
                kind = np.uint8 if bits <= 8 else np.uint16
                one.create_dataset(
                    "image", data=stored.astype(kind), compression=1, chunks=(4, len(image))
                )
                header |= {"stored_rendermin": low, "stored_rendermax": high}
                header |= {"stored_renderbits": bits}
            for key, value in header.items():
                one.attrs[f"EMAN.{key}"] = _attribute(value)


def _attribute(value):
    if isinstance(value, bool):
        return np.int8(ord("T" if value else "F"))
    if isinstance(value, int):
        return np.int32(value)
    if isinstance(value, float):
        return np.float32(value)
    if isinstance(value, str):
        return np.bytes_(value + "\0")
    record = np.zeros(1, TRANSFORM)
    record[0] = tuple(np.float32(value).flatten())
    return record


def as_json(matrix):
    """A Transform as newer versions write it: numbers as text."""
    numbers = ",".join(f"{number:g}" for number in np.asarray(matrix).flatten())
    return {"__class__": "Transform", "matrix": f"[{numbers}]"}


def write_lst(path, rows, *, comment="# of my own", room=4):
    """Rows of (number, stack, values)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for number, stack, *values in rows:
        texts = [
            value if isinstance(value, str)
            else json.dumps(value, sort_keys=True, separators=(",", ":"))
            for value in values
        ]  # fmt: skip
        lines.append("\t".join([str(number), stack, *texts]).encode())
    length = max(map(len, lines)) + 1 + room
    head = f"#LSX\n{comment}\n# {length}\n".encode()
    path.write_bytes(head + b"".join(line.ljust(length - 1) + b"\n" for line in lines))


def transform_of(az, alt, phi, tx=0.0, ty=0.0, tz=0.0):
    """EMAN2's Transform: turned about z, then the new x, then the new z; then moved."""
    a, t, p = np.deg2rad([az, alt, phi])

    def about_z(angle):
        c, s = np.cos(angle), np.sin(angle)
        return np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])

    c, s = np.cos(t), np.sin(t)
    about_x = np.array([[1, 0, 0], [0, c, s], [0, -s, c]])
    rotation = about_z(p) @ about_x @ about_z(a)
    return np.concatenate([rotation, [[tx], [ty], [tz]]], axis=1)


class Eman2Set:
    """Three images of 8 × 8 pixels of 2 Å in a project folder, which a test changes first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.list = folder / "sets" / "all.lst"
        self.stack = folder / "particles" / "micro__ctf.hdf"
        generator = np.random.default_rng(0)
        self.images = generator.normal(size=(3, 8, 8)).astype(np.float32)
        self.matrices = [transform_of(az, 20.0, 30.0, 1.5, -2.0, 0.5) for az in (10.0, 40.0, 70.0)]
        self.headers = [{"apix_x": 2.0, "ctf": CTF} for _ in range(3)]
        self.rows = [
            [number, "particles/micro__ctf.hdf", {"score": -0.5, "xform.projection": as_json(m)}]
            for number, m in enumerate(self.matrices)
        ]

    def write(self) -> Path:
        write_hdf(self.stack, self.images, self.headers)
        write_lst(self.list, self.rows)
        return self.list
