from dataclasses import replace

import torch

from cryomix.imaging.half_sets import take_half


def test_a_half_holds_its_own_rows(particles, unchanged):
    half_set = torch.tensor([2, 1, 1, 2, 2], dtype=torch.int8)
    given = replace(particles, half_set=half_set)
    with unchanged(given.poses, given.ctf):
        even = take_half(given, "even")
    rows = torch.tensor([0, 3, 4])
    assert even.source_row.tolist() == rows.tolist()
    torch.testing.assert_close(even.poses.rotation, particles.poses.rotation[rows])
    torch.testing.assert_close(even.ctf.defocus_u, particles.ctf.defocus_u[rows])
    everyone = torch.arange(3)
    torch.testing.assert_close(even.images.read(everyone), particles.images.read(rows))
    last = torch.tensor([2, 0])
    torch.testing.assert_close(even.images.read(last), particles.images.read(rows[last]))


def test_a_half_has_halves_of_its_own(particles):
    odd = take_half(particles, "odd")
    assert odd.source_row.tolist() == [0, 2, 4]
    assert odd.half_set.tolist() == [1, 2, 1]
