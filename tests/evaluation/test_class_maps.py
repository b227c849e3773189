import torch

from cryomix.evaluation.class_maps import match_classes
from cryomix.imaging.volume import Volume


def test_classes_find_each_other_by_what_they_differ_in():
    """What all classes have in common is a hundred times stronger than what tells them apart."""
    generator = torch.Generator().manual_seed(0)
    shape = (12, 12, 12)
    common = 100 * torch.randn(shape, generator=generator)
    own = torch.randn(4, *shape, generator=generator)

    def noisy(order):
        return [
            Volume(common + own[number] + 0.7 * torch.randn(shape, generator=generator), 2.0)
            for number in order
        ]

    mask = Volume(torch.ones(shape), 2.0)
    first, second = noisy([0, 1, 2, 3]), noisy([2, 0, 3, 1])
    matched = match_classes(first, second, ([9, 10, 11, 10], [10, 10, 10, 10]), mask)
    assert matched.pairs == ((0, 1), (1, 3), (2, 0), (3, 2))
    assert min(matched.alike[pair] for pair in matched.pairs) > 0.5

    fewer = match_classes(first, second[:2], ([10] * 4, [10] * 2), mask)
    assert fewer.pairs == ((0, 1), (2, 0))
