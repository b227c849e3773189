"""Where stacks are looked for, and in which order."""

import numpy as np
import pytest
import torch
from files_of_others import write_stack_file

from cryomix.errors import DataWarning, InputFileError
from cryomix.files.image_names import open_images


def stack_at(path, value):
    write_stack_file(path, np.full((2, 4, 4), value, np.float32))


def value_of(name, source, data_folder=None):
    return open_images([f"1@{name}"], source, data_folder).read(torch.tensor([0]))[0, 0, 0].item()


def test_stacks_lie_beside_the_file_or_above_it(tmp_path, monkeypatch):
    source = tmp_path / "project" / "Refine3D" / "job1" / "run_data.star"
    source.parent.mkdir(parents=True)
    stack_at(tmp_path / "project" / "Extract" / "a.mrcs", 1)
    assert value_of("Extract/a.mrcs", source) == 1
    stack_at(source.parent / "Extract" / "a.mrcs", 2)
    assert value_of("Extract/a.mrcs", source) == 2
    elsewhere = tmp_path / "elsewhere"
    stack_at(elsewhere / "b.mrcs", 3)
    monkeypatch.chdir(elsewhere)
    assert value_of("b.mrcs", source) == 3
    # One of the same name in the working folder belongs to another data set.
    stack_at(source.parent / "b.mrcs", 4)
    assert value_of("b.mrcs", source) == 4
    assert value_of(str(elsewhere / "b.mrcs"), source) == 3


def test_a_linked_file_is_followed(tmp_path):
    stack_at(tmp_path / "project" / "a.mrcs", 1)
    source = tmp_path / "links" / "run_data.star"
    source.parent.mkdir()
    (tmp_path / "project" / "run_data.star").touch()
    source.symlink_to(tmp_path / "project" / "run_data.star")
    assert value_of("a.mrcs", source) == 1


@pytest.mark.parametrize("name", ["/lost/data/Extract/a.mrcs", "data/Extract/a.mrcs"])
def test_the_data_folder_goes_first(tmp_path, name):
    source, data = tmp_path / "run_data.star", tmp_path / "data_of_mine"
    stack_at(tmp_path / "data" / "Extract" / "a.mrcs", 9)
    for value, place in enumerate(["a.mrcs", "Extract/a.mrcs", name.lstrip("/")]):
        stack_at(data / place, value)
        assert value_of(name, source, data) == value


def test_all_missing_stacks_are_counted(tmp_path):
    source = tmp_path / "run_data.star"
    stack_at(tmp_path / "a.mrcs", 1)
    names = ["1@a.mrcs", *(f"1@lost{number}.mrcs" for number in range(5)), "2@lost0.mrcs"]
    with pytest.raises(InputFileError) as caught:
        open_images(names, source, tmp_path)
    assert str(caught.value).startswith(
        f"{source}: 5 of 6 image stacks not found: lost0.mrcs, lost1.mrcs, lost2.mrcs and 2 more "
        f"(looked in {tmp_path}, "
    )
    with pytest.raises(InputFileError, match=r"nowhere: the data folder must be a folder"):
        open_images(names, source, tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["a.mrcs", "@a.mrcs", "1@", "0@a.mrcs", "-1@a.mrcs", "x@a.mrcs"])
def test_names_of_another_form_are_refused(tmp_path, name):
    with pytest.raises(InputFileError) as caught:
        open_images(["1@a.mrcs", name], tmp_path / "x.star", None)
    assert str(caught.value) == (
        f"{tmp_path / 'x.star'}: an image name must be number@stack counted from 1, "
        f"got {name!r} in row 2"
    )


def test_images_come_from_the_section_that_is_named(tmp_path):
    images = np.arange(8, dtype=np.float32)[:, None, None] * np.ones((1, 4, 4), np.float32)
    write_stack_file(tmp_path / "a b@c.mrcs", images)
    stack = open_images(["000008@a b@c.mrcs", "1@a b@c.mrcs"], tmp_path / "x.star", None)
    assert stack.read(torch.tensor([0, 1]))[:, 0, 0].tolist() == [7.0, 0.0]


def test_a_name_may_not_climb_out(tmp_path, monkeypatch):
    """Not even to a real stack: who wrote the name need not be who reads it."""
    project = tmp_path / "project"
    source = project / "Refine3D" / "x.star"
    stack_at(tmp_path / "secret" / "a.mrcs", 1)
    stack_at(project / "Extract" / "a.mrcs", 2)
    source.parent.mkdir()
    with pytest.raises(InputFileError) as caught:
        value_of("../../secret/a.mrcs", source)
    assert str(caught.value) == (
        f"{source}: image stack ../../secret/a.mrcs leads out of the folder of the file, to "
        f"{tmp_path / 'secret' / 'a.mrcs'}: if that is right, name the folder that holds it with "
        "--datadir"
    )
    assert value_of("../../secret/a.mrcs", source, tmp_path / "secret") == 1
    # Inside the project, which is the working folder when RELION calls, it is nothing unusual.
    monkeypatch.chdir(project)
    assert value_of("../Extract/a.mrcs", source) == 2
    with pytest.raises(InputFileError, match="leads out of the folder"):
        value_of("../../secret/a.mrcs", source, project)


def test_a_stack_elsewhere_is_read_but_not_silently(tmp_path):
    source = tmp_path / "project" / "x.star"
    stack_at(tmp_path / "elsewhere" / "a.mrcs", 1)
    source.parent.mkdir()
    (source.parent / "link.mrcs").symlink_to(tmp_path / "elsewhere" / "a.mrcs")
    for name in (str(tmp_path / "elsewhere" / "a.mrcs"), "link.mrcs"):
        with pytest.warns(DataWarning) as told:
            assert value_of(name, source) == 1
        assert str(told[0].message) == (
            f"{source}: an image stack lies outside of the folders of this file and this command, "
            f"as an absolute path or a link says: {tmp_path / 'elsewhere' / 'a.mrcs'}"
        )
        # Warnings are errors here: the folder that the user names is none to be told of.
        assert value_of(name, source, tmp_path / "elsewhere") == 1
    inside = source.parent / "b.mrcs"
    stack_at(inside, 2)
    assert value_of(str(inside), source) == 2


def test_nothing_is_found_from_the_root_of_the_file_system(tmp_path):
    source = tmp_path / "x.star"
    stack_at(tmp_path / "a.mrcs", 1)
    name = str(tmp_path / "elsewhere" / ".." / "a.mrcs").lstrip("/")
    with pytest.raises(InputFileError, match="1 of 1 image stacks not found"):
        value_of(name, tmp_path.parent / "other" / "x.star")
    assert value_of("a.mrcs", source) == 1


@pytest.mark.parametrize("name", ["x" * 300, "a\0b.mrcs", "/dev/zero", "/dev/stdin", ".", "/"])
def test_a_name_that_no_stack_can_have_is_not_found(tmp_path, name):
    with pytest.raises(InputFileError, match="1 of 1 image stacks not found"):
        open_images([f"1@{name}"], tmp_path / "x.star", None)
