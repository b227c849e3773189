"""Atomic models are read as they are meant, or refused with one line."""

import gzip

import numpy as np
import pytest

from cryomix.errors import InputFileError
from cryomix.files.structure import is_structure_name, read_structure


def line(serial, name, residue, chain, number, position, *, element="", record="ATOM", altloc=" "):
    x, y, z = position
    return (
        f"{record:6}{serial:5d} {name:4}{altloc}{residue:>3} {chain}{number:4d}    "
        f"{x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00          {element:>2}"
    )


ATOMS = [
    line(1, " N  ", "GLY", "A", 5, (1, 2, 3), element="N"),
    line(2, " CA ", "GLY", "A", 5, (2, 2, 3), element="C"),
    line(3, " H  ", "GLY", "A", 5, (2, 3, 3), element="H"),
    line(4, " OG ", "SER", "A", 6, (4, 2, 3), element="O", altloc="A"),
    line(5, " OG ", "SER", "A", 6, (5, 2, 3), element="O", altloc="B"),
    line(6, " P  ", " DA", "B", 1, (7, 8, 9), element="P"),
    line(7, " O  ", "HOH", "W", 1, (9, 9, 9), element="O", record="HETATM"),
    line(8, "ZN  ", " ZN", "Z", 1, (9, 9, 3), element="ZN", record="HETATM"),
]


@pytest.fixture
def write(tmp_path):
    def write(lines, name="model.pdb"):
        path = tmp_path / name
        path.write_text("\n".join([*lines, "END", ""]))
        return path

    return write


def models(*contents):
    return [
        text
        for number, content in enumerate(contents, start=1)
        for text in (f"MODEL     {number:4d}", *content, "ENDMDL")
    ]


def test_hydrogens_water_and_other_positions_are_left_out(write):
    structure = read_structure(write(ATOMS))
    assert structure.mass.tolist() == [7, 6, 8, 15, 30]
    assert structure.chain == ("A", "A", "A", "B", "Z")
    assert structure.residue.tolist() == [5, 5, 6, 1, 1]
    assert structure.row.tolist() == [0, 1, 3, 5, 7]
    assert structure.rows == 8
    assert structure.position[0, 2].tolist() == [4, 2, 3]
    assert len(structure) == 5


def test_atoms_without_elements_are_no_metals(write):
    """Names one column too far left, as CHARMM writes them: CA is not calcium, HG not mercury."""
    names = ["CA  ", "CD1 ", "CE  ", "NE  ", "ND1 ", "HG1 ", "HE  ", "SD  ", "OG  ", "1HB "]
    lines = [line(i, name, "XYZ", " ", 1, (i, 0, 0)) for i, name in enumerate(names)]
    structure = read_structure(write(lines))
    assert structure.mass.tolist() == [6, 6, 6, 7, 7, 16, 8]
    assert structure.chain == ("",) * 7


def test_models_are_read_in_order(write):
    moved = [text.replace("   2.000   3.000", "   4.000   3.000") for text in ATOMS]
    structure = read_structure(write(models(ATOMS, moved)))
    assert structure.position.shape == (2, 5, 3)
    assert (structure.position[1] - structure.position[0])[:, 1].tolist() == [2, 2, 2, 0, 0]


def test_compressed_files_are_read(write):
    path = write(ATOMS)
    packed = path.with_name("mödel.pdb.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert np.array_equal(read_structure(packed).position, read_structure(path).position)


def test_mmcif_reads_as_pdb_does(write, tmp_path):
    import gemmi

    path = write(models(ATOMS, ATOMS))
    document = gemmi.read_pdb(str(path)).make_mmcif_document()
    cif = tmp_path / "model.cif"
    cif.write_text(document.as_string())
    first, second = read_structure(path), read_structure(cif)
    assert np.array_equal(first.position, second.position)
    assert first.chain == second.chain
    assert first.residue.tolist() == second.residue.tolist()
    assert first.row.tolist() == second.row.tolist()


@pytest.mark.parametrize(
    ("lines", "name", "message"),
    [
        (["REMARK nothing"], "model.pdb", "holds no atoms that show in a map"),
        (ATOMS[2:3], "model.pdb", "holds no atoms that show in a map"),
        (["no model"], "model.cif", "not an atomic model: "),
        ([], "model.cif", "not an atomic model: "),
        (models(ATOMS, ATOMS[1:]), "model.pdb", "the first: it has 5, model 2 has 4 or others"),
        (
            [ATOMS[0].replace("   1.000", "     nan")],
            "model.pdb",
            "got NaN or infinity for N of /A:5 in model 1",
        ),
    ],
)
def test_what_cannot_be_used_is_refused(write, lines, name, message):
    path = write(lines, name)
    if name == "model.cif" and not lines:
        path.write_text("")
    with pytest.raises(InputFileError, match=message) as caught:
        read_structure(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_binary_mmcif_is_named(tmp_path):
    (tmp_path / "model.bcif.gz").write_bytes(b"")
    with pytest.raises(InputFileError, match=r"binary mmCIF is not read: save it as mmCIF"):
        read_structure(tmp_path / "model.bcif.gz")


def test_a_missing_or_broken_file_is_refused(tmp_path):
    with pytest.raises(InputFileError, match="cannot be read: No such file"):
        read_structure(tmp_path / "none.pdb")
    broken = tmp_path / "model.pdb.gz"
    broken.write_bytes(gzip.compress(b"ATOM" * 100)[:-12])
    with pytest.raises(InputFileError, match="cannot be decompressed"):
        read_structure(broken)


def test_without_gemmi_the_user_is_told(write, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputFileError, match=r"need gemmi: pip install 'cryomix\[model\]'"):
        read_structure(write(ATOMS))


def test_names_of_models_are_known():
    assert all(map(is_structure_name, ("a.pdb", "A.CIF", "x/b.ent.gz", "c.mmcif")))
    assert not any(map(is_structure_name, ("linear", "a.pdb.txt", "a.bcif", "cif")))
