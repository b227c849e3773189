"""Trained models come back as they were, those of either decoder and those from before it."""

import json

import numpy as np
import pytest
import torch

from cryomix.errors import CheckpointError
from cryomix.files.checkpoint import read_tensors, write_tensors
from cryomix.files.training import read_latents, read_model, write_model
from cryomix.fitting.trained_model import ModelSettings, TrainedModel
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.noise import Spectrum

LATENT = torch.tensor([[0.4, -0.9]])


def model_of(decoder):
    neutral = GaussianModel(
        40 * torch.rand(9, 3, generator=torch.Generator().manual_seed(0)) - 20,
        torch.full((9,), 0.4),
        torch.full((9,), 3.0),
    )
    settings = ModelSettings(
        24, 4.0, 10.0, 3.0, 2, 16, "snr", ("centers", "amplitudes", "widths"), decoder
    )
    torch.manual_seed(1)
    return TrainedModel(
        settings, neutral, Spectrum(*torch.ones(3, settings.grid.n_rings), torch.ones(()))
    )


def settings_changed(path, change):
    tensors, metadata = read_tensors(path)
    settings = {**json.loads(metadata["settings"]), **change}
    kept = {name: value for name, value in settings.items() if value is not None}
    write_tensors(path, tensors, {"settings": json.dumps(kept)})


@pytest.mark.parametrize("decoder", ["dense", "shared"])
def test_a_model_comes_back(tmp_path, decoder):
    path = tmp_path / "model.safetensors"
    model = model_of(decoder)
    write_model(path, model)
    again = read_model(path)
    assert again.settings == model.settings
    for name in ("center", "amplitude", "width"):
        assert torch.equal(getattr(again.decode(LATENT), name), getattr(model.decode(LATENT), name))


def test_a_model_that_names_no_decoder_has_the_dense_one(tmp_path):
    path = tmp_path / "model.safetensors"
    model = model_of("dense")
    write_model(path, model)
    settings_changed(path, {"decoder": None})
    again = read_model(path)
    assert again.settings == model.settings
    assert torch.equal(again.decode(LATENT).center, model.decode(LATENT).center)


@pytest.mark.parametrize("decoder", ["dense", "other"])
def test_another_decoder_than_the_weights_is_refused(tmp_path, decoder):
    path = tmp_path / "model.safetensors"
    write_model(path, model_of("shared"))
    settings_changed(path, {"decoder": decoder})
    with pytest.raises(CheckpointError, match=r"model\.safetensors: not a trained model: "):
        read_model(path)


@pytest.mark.parametrize("header", ["", "one, two\n"])
def test_latents_of_a_table_are_those_of_an_array(tmp_path, header):
    rows = np.array([[0.5, -1.25], [1e-3, 2], [-3, 0]], np.float32)
    np.save(tmp_path / "a.npy", rows)
    text = "\n".join(f"{one}, {other}" for one, other in rows)
    (tmp_path / "a.csv").write_text(header + text + "\n")
    for name in ("a.npy", "a.csv"):
        read = read_latents(tmp_path / name, 2)
        assert read.dtype == np.float32
        np.testing.assert_array_equal(read, rows)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be rows of 2, got an array of shape"),
        ("one,two\n", "must be rows of 2, got an array of shape"),
        ("1,2,3\n", "must be rows of 2"),
        ("1,2\n3\n", r"a.csv: line 2 must hold 2 numbers, got \['3'\]"),
        ("one,two\n1,x\n", r"a.csv: line 2 must hold 2 numbers, got \['1', 'x'\]"),
        ("1,inf\n", "must be finite"),
    ],
)
def test_a_table_that_holds_no_latents_is_refused(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(CheckpointError, match=message):
        read_latents(tmp_path / "a.csv", 2)
