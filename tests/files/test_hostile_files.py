"""Files that were good and are not any more: every reader takes them or says what is wrong."""

import random

import pytest
from hostile_files import make_readers, mutate

MUTATIONS = 300
KINDS = (
    "star", "mrc", "gz", "toml", "csv", "npy", "npz", "safetensors", "maps", "domains", "dcd",
    "cs", "lst", "hdf", "pdb", "cif",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def readers(folder):
    return make_readers(folder)


def test_every_reader_is_tried(readers):
    assert tuple(readers) == KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_only_a_mistake_of_the_users_comes_out(readers, kind, folder):
    reader, chance = readers[kind], random.Random(kind)
    for seed in reader.seeds:
        reader.try_on(seed, folder)
    for number in range(MUTATIONS):
        content = mutate(chance.choice(reader.seeds), chance.choice(reader.seeds), chance)
        try:
            reader.try_on(content, folder)
        except Exception as error:
            pytest.fail(f"{kind}, mutation {number}: {type(error).__name__}: {error}\n{content!r}")
