"""What two halves of the particles have in common, in words."""

from cryomix.evaluation.reproducibility import Dimension, Gain, Reproducibility
from cryomix.report.findings import Finding, count_in_words

_HALVES = ("odd", "even")


def judge(found: Reproducibility) -> list[Finding]:
    """The verdict first, then why, then what of dimensions, motions and classes."""
    return [
        _verdict(found),
        *(_about_gain(half, found.gain[half]) for half in _HALVES),
        _about_dimensions(found),
        *_about_motions(found),
        _about_groups(found),
        _about_classes(found),
    ]


def list_limits() -> list[Finding]:
    """What halves that agree do not prove."""
    return [
        Finding(
            "Both halves share the poses, and errors of poses differ from particle to particle: a "
            "motion of the whole molecule that is reproducible is one of the poses."
        ),
        Finding(
            "Images of different strength or thickness of ice differ in both halves alike. Look at "
            "what changes before you call it a motion of the molecule."
        ),
        Finding(
            "Noise must be independent from one Fourier coefficient to the next. Images that were "
            "multiplied by a mask are not of that kind."
        ),
        Finding(
            "What is not reproducible may still be there, too weak or too rare for half of the "
            "particles."
        ),
    ]


def _verdict(found: Reproducibility) -> Finding:
    if not found.is_anything:
        return Finding("Nothing reproducible.", "bad")
    odd, even = (len(found.reproducible_dimensions(half)) for half in _HALVES)
    total = len(found.dimensions["odd"])
    dimensions = f"{odd} of {total} latent dimensions" if odd == even else (
        f"{odd} (odd half) and {even} (even half) of {total} latent dimensions"
    )  # fmt: skip
    classes = len(found.reproducible_classes)
    return Finding(
        f"Reproducible: {dimensions}, {classes} of {max(found.clusters.values())} classes.", "good"
    )


def _about_gain(half: str, gain: Gain) -> Finding:
    other = _HALVES[1 - _HALVES.index(half)]
    amount = f"{_signed(gain.mean)} ± {gain.error:.2g} nats per particle"
    if gain.is_sure:
        text = (
            f"The states that the {half} half found explain the {other} half's particles better "
            f"than any one state does: {amount}."
        )
        return Finding(text, "good")
    text = (
        f"The states that the {half} half found explain the {other} half's particles no better "
        f"than one state does: {amount}."
    )
    return Finding(text, "bad")


def _about_dimensions(found: Reproducibility) -> Finding:
    told = []
    for half in _HALVES:
        axes = found.reproducible_dimensions(half)
        if not axes:
            told.append(f"none of the {half} half")
            continue
        names = ", ".join(f"{each.axis} ({100 * each.agreement.share:.0f} %)" for each in axes)
        told.append(f"axis {names} of the {half} half")
    text = f"Reproducible axes: {'; '.join(told)}."
    if found.is_anything:
        text += " In brackets: of what a half sees along the axis, what the other sees as well."
    return Finding(text)


def _about_motions(found: Reproducibility) -> list[Finding]:
    axes = found.reproducible_dimensions("odd")
    if not axes:
        return []
    widest: Dimension = max(axes, key=lambda each: each.displacement)
    text = (
        f"Along axis {widest.axis} of the odd half Gaussians move by "
        f"{widest.displacement:.1f} Å (root mean square), and by "
        f"{widest.other_displacement:.1f} Å in the even half's model; the changes of density "
        f"correlate to {widest.alike:.2f}."
    )
    return [Finding(text, "good" if widest.alike > 0.5 else "bad")]


def _about_groups(found: Reproducibility) -> Finding:
    odd, even = (found.groups[half] for half in _HALVES)
    if odd != even:
        text = f"The odd half falls into {odd} separate groups, the even half into {even}."
        return Finding(text, "bad")
    if odd == 1:
        return Finding("Both halves are one continuous group.")
    return Finding(f"Both halves fall into {count_in_words(odd)} separate groups.", "good")


def _about_classes(found: Reproducibility) -> Finding:
    if not found.is_anything:
        return Finding("Their classes are portions of noise, however alike their maps are.", "bad")
    reached = [each.resolution_half for each in found.classes if each.resolution_half is not None]
    pairs = f"Maps of the {count_in_words(len(found.classes))} pairs of classes"
    if len(reached) < len(found.classes):
        text = f"{pairs} do not all agree."
    else:
        text = f"{pairs} agree to {max(reached):.1f} Å or better (FSC 0.5)."
    lost = [f"{each.odd} and {each.even}" for each in found.classes if not each.is_reproducible]
    if lost:
        text += f" Not told apart by both halves alike: {'; '.join(lost)} (odd and even)."
    return Finding(text, "bad" if lost else "good")


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
