"""Noise spectra are one positive value per ring."""

import numpy as np
import pytest

from cryomix.errors import InputFileError
from cryomix.files.noise_spectrum import read_noise_spectrum


@pytest.mark.parametrize(
    "text",
    [
        "1\n2\n4\n",
        "1e0\n2\n4\n",
        "power\n1\n2\n4",
        "ring,power\n0,1\n1,2\n2,4e0\n",
        "0 1\n1 2\n2 4\n",
    ],
)
def test_text_is_read(tmp_path, text):
    path = tmp_path / "noise.csv"
    path.write_text(text)
    assert read_noise_spectrum(path).tolist() == [1, 2, 4]


def test_an_array_is_read(tmp_path):
    path = tmp_path / "noise.npz"
    np.savez(path, radial=np.array([3.0, 1.0]))
    assert read_noise_spectrum(path).tolist() == [3, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must have rings, got none"),
        ("power\n", "must have rings, got none"),
        ("1\n", "one value per ring, got shape"),
        ("1\n0\n2\n", "noise power must be positive, got 0 in ring 1"),
        ("1\nnan\n", "noise power must be positive, got nan in ring 1"),
        ("1\nhigh\n", "not a noise spectrum: "),
    ],
)
def test_what_is_no_spectrum_is_refused(tmp_path, text, message):
    path = tmp_path / "noise.txt"
    path.write_text(text)
    with pytest.raises(InputFileError, match=message):
        read_noise_spectrum(path)


def test_files_that_hold_something_else_are_refused(tmp_path):
    two, binary = tmp_path / "two.npz", tmp_path / "noise.dat"
    np.savez(two, first=np.ones(3), second=np.ones(3))
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputFileError, match="the only array, got first, second"):
        read_noise_spectrum(two)
    with pytest.raises(InputFileError, match="it is no text"):
        read_noise_spectrum(binary)
    with pytest.raises(InputFileError, match="there is no such file"):
        read_noise_spectrum(tmp_path / "none.npz")
    np.save(tmp_path / "one.npy", np.ones(3))
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    with pytest.raises(InputFileError, match=r"a noise spectrum must be an \.npz file"):
        read_noise_spectrum(tmp_path / "one.npz")
