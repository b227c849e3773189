"""Fixtures: particle files as other programs write them."""

from collections.abc import Callable
from pathlib import Path

import mrcfile
import pytest
from files_of_others import ParticleFile


@pytest.fixture
def particle_file(tmp_path: Path) -> ParticleFile:
    return ParticleFile(tmp_path)


@pytest.fixture
def rewrite_header() -> Callable[[Path, float], None]:
    """Give a file another voxel size."""

    def rewrite(path: Path, voxel_size: float) -> None:
        with mrcfile.open(path, "r+") as file:
            file.voxel_size = voxel_size

    return rewrite
