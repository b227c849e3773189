"""Motions of domains come back from their table."""

import pytest
import torch

from cryomix.errors import CheckpointError
from cryomix.files.domain_motions import read_domain_motions, write_domain_motions
from cryomix.latent.localized_path import DomainMotion
from cryomix.latent.screw_motion import ScrewMotion


def motion():
    axis, hinge = torch.eye(3, dtype=torch.float64)[:2]
    rigid = ScrewMotion(31.5, 2.0, axis, 3.0, 4 * hinge, -1.5, 0.2, 12.0, 0.97)
    return DomainMotion("arm", 77, 20.5, 0.75, 0.98, rigid)


def test_they_come_back(tmp_path):
    write_domain_motions(tmp_path / "domains.json", [motion()])
    (found,) = read_domain_motions(tmp_path / "domains.json")
    assert found.name == "arm"
    assert found.rigid.angle_deg == 31.5
    assert torch.equal(found.rigid.hinge, motion().rigid.hinge)


def test_no_file_is_no_domains(tmp_path):
    assert read_domain_motions(tmp_path / "domains.json") == ()


@pytest.mark.parametrize("text", ["{", "[1]", '[{"name": "arm"}]', '[{"rigid": {}}]'])
def test_another_table_is_refused(tmp_path, text):
    (tmp_path / "domains.json").write_text(text)
    with pytest.raises(CheckpointError, match="not a table of motions"):
        read_domain_motions(tmp_path / "domains.json")
