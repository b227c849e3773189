"""Where results lie, and which folders may become a job."""

import pytest

from cryomix.errors import CheckpointError, OutputError
from cryomix.files import job as job_module
from cryomix.files.job import JobFolder, create_job, open_job


def test_results_lie_where_scripts_expect_them(tmp_path):
    job = JobFolder(tmp_path)
    places = {
        "run_record": "run.toml",
        "neutral_model": "neutral/gaussians.safetensors",
        "neutral_map": "neutral/neutral.mrc",
        "neutral_frc": "neutral/frc.csv",
        "model": "model.safetensors",
        "checkpoints": "checkpoints",
        "training_state": "checkpoints/state.safetensors",
        "latents": "latents.npy",
        "latent_std": "latent_std.npy",
        "latent_covariance": "latent_covariance.npy",
        "information": "information.npy",
        "informative": "informative.npy",
        "image_score": "image_score.npy",
        "history": "history.csv",
        "analysis": "analysis",
        "pca": "analysis/pca.npy",
        "umap": "analysis/umap.npy",
        "clusters": "analysis/clusters.npy",
        "trajectories": "analysis/trajectories",
        "volumes": "volumes",
        "volume_fsc": "volumes/fsc",
        "report": "report.html",
    }
    assert {name: getattr(job, name) for name in places} == {
        name: tmp_path / place for name, place in places.items()
    }
    for name in ("particles", "selection", "expanded"):
        assert getattr(job, name)(tmp_path / "run_data.star") == tmp_path / f"{name}.star"
        assert getattr(job, name)(tmp_path / "J3_particles.cs") == tmp_path / f"{name}.cs"
    assert job.localized("arm") == tmp_path / "analysis" / "localized_arm.npy"


def test_a_new_folder_is_made(tmp_path):
    path = tmp_path / "a" / "job"
    job = create_job(path, resume=False)
    assert job == JobFolder(path)
    assert list(path.iterdir()) == []
    assert create_job(path, resume=False) == job
    assert create_job(tmp_path / "other", resume=True).path.is_dir()


def test_a_job_is_not_overwritten_but_resumed(tmp_path):
    (tmp_path / "run.toml").write_text("command = 'train'")
    (tmp_path / "latents.npy").write_text("")
    with pytest.raises(OutputError) as caught:
        create_job(tmp_path, resume=False)
    assert str(caught.value) == f"{tmp_path}: the output folder already holds a job (run.toml)"
    assert create_job(tmp_path, resume=True).path == tmp_path
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latents.npy", "run.toml"]


@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_of_something_else_is_refused(tmp_path, resume):
    (tmp_path / "holiday.jpg").write_text("")
    with pytest.raises(OutputError) as caught:
        create_job(tmp_path, resume=resume)
    message = f"{tmp_path}: the output folder must be empty, but holds holiday.jpg"
    assert str(caught.value) == message


def test_what_relion_puts_there_is_no_hindrance(tmp_path):
    for name in ("job.star", "note.txt", "run.out", "run.err", "RELION_JOB_ABORT_NOW", ".x"):
        (tmp_path / name).write_text("")
    assert create_job(tmp_path, resume=False).path == tmp_path


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "job"):
        with pytest.raises(OutputError) as caught:
            create_job(path, resume=False)
        assert type(caught.value) is OutputError
        assert str(caught.value).startswith(f"{path}: cannot be written: ")

    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(job_module.Path, "touch", refuse)
    with pytest.raises(OutputError, match=r"job: cannot be written: Permission denied$"):
        create_job(tmp_path / "job", resume=False)


def test_opening_says_what_is_missing(tmp_path):
    with pytest.raises(CheckpointError, match=r"none: there is no such job folder$"):
        open_job(tmp_path / "none")
    with pytest.raises(CheckpointError, match=r"not a job that can be used: run\.toml is missing$"):
        open_job(tmp_path)
    (tmp_path / "run.toml").write_text("")
    assert open_job(tmp_path) == JobFolder(tmp_path)
    (tmp_path / "latents.npy").write_text("")
    with pytest.raises(CheckpointError, match=r"not a job .*: model\.safetensors is missing$"):
        open_job(tmp_path, needs=["latents", "model"])
    (tmp_path / "model.safetensors").write_text("")
    assert open_job(tmp_path, needs=["latents", "model"]).path == tmp_path
