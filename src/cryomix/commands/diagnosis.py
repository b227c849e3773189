"""What measurements of particles and map mean, in plain words, and what mends it."""

import math
from typing import TYPE_CHECKING

from cryomix.commands.finding import Finding, State

if TYPE_CHECKING:
    from cryomix.imaging.consistency import Agreement
    from cryomix.imaging.particles import Particles
    from cryomix.reconstruction.relation import Relation

_TURNED = {
    "transposed": (
        "rotations are transposed",
        "replace (rot, tilt, psi) by (-psi, -tilt, -rot); in cryoSPARC negate alignments3D/pose, "
        "in EMAN2 invert xform.projection",
    ),
    "negated": (
        "Euler angles have the wrong sign",
        "negate _rlnAngleRot, _rlnAngleTilt and _rlnAnglePsi",
    ),
    "exchanged": ("rot and psi are exchanged", "exchange _rlnAngleRot and _rlnAnglePsi"),
}
_FLIPPED = {
    "images flipped in x": "relion_image_handler --flipX, or e2proc2d.py --process "
    "xform.flip:axis=x",
    "images flipped in y": "relion_image_handler --flipY, or e2proc2d.py --process "
    "xform.flip:axis=y",
    "images transposed": "e2proc2d.py --process xform.transpose",
}
_INVERT = (
    "multiply the images by -1: relion_image_handler --multiply_constant -1, e2proc2d.py "
    "--mult -1; from cryoSPARC, mind blob/sign"
)
_HAND = (
    "mirror the map (relion_image_handler --invert_hand, cryoSPARC Volume Tools, ChimeraX "
    "'volume flip'), or take the one that was refined with these poses"
)


def judge_relation(
    relation: "Relation", particles: "Particles", voxel_size: float | None = None
) -> list[Finding]:
    """What is wrong with the poses, the contrast, the phases, the scales or the map.

    `voxel_size` is what the map's header says, if it is not the particles' pixel size.
    """
    agreement = relation.agreement
    if relation.is_same is not True:
        return [_judge_structure(relation)]
    findings = [
        _judge_structure(relation),
        _judge_contrast(agreement),
        _judge_shifts(agreement, particles),
        _judge_rotations(agreement),
        _judge_hand(agreement),
        _judge_images(agreement),
        _judge_phases(agreement, particles),
    ]
    # A map that lies or is scaled otherwise was mended only roughly: too rough to measure with.
    if relation.moved is None and relation.scaled is None:
        findings += _judge_scale(agreement, particles, voxel_size)
        findings.append(_judge_astigmatism(agreement))
    return findings


def _judge_structure(relation: "Relation") -> Finding:
    likeness, agreement = relation.likeness, relation.agreement
    share = f"{100 * likeness.share:.0f} % of what {likeness.particles} particles show"
    evidence = f"{share} to {likeness.resolution:.0f} Å"
    if relation.moved is not None:
        place = ", ".join(f"{part:g}" for part in relation.moved)
        cure = f"move it by ({place}) Å along (x, y, z), or take the map of this refinement"
        return Finding("map", "the map lies elsewhere than the poses say", evidence, "wrong", cure)
    if relation.scaled is not None:
        cure = (
            f"enlarge it {relation.scaled:.3f} times: relion_image_handler --rescale_angpix, "
            "e2proc3d.py --scale; or take the map of this refinement"
        )
        return Finding("map", "the map has another scale than the images", evidence, "wrong", cure)
    if relation.is_same is None:
        cure = "take the star file and the images of one job; if they are, give more particles"
        words = "rotations do not belong to these images, or there are too few particles to tell"
        found = "those of other particles fit as well"
        if agreement.has_rotations:
            found = f"{likeness.particles} particles give no map that comes back in both halves"
        return Finding("map", words, found, "wrong", cure)
    if not relation.is_same:
        cure = "take the map and the poses of one refinement"
        words = (
            "the map does not show what the particles show: it is of another structure, or turned"
        )
        if math.isnan(likeness.share):
            evidence = f"correlation {agreement.significance:.1f} standard errors"
        return Finding("map", words, evidence, "wrong", cure)
    if relation.is_whole:
        return Finding("map", "shows what the particles show", evidence)
    return Finding("map", "shows a part of what the particles show", evidence, "note")


def _judge_contrast(agreement: "Agreement") -> Finding:
    evidence = (
        f"correlation {agreement.correlation:.3f}, {agreement.significance:.0f} standard errors"
    )
    if agreement.is_inverted:
        words = "contrast is inverted, protein is dark"
        return Finding("contrast", words, evidence, "wrong", _INVERT)
    return Finding("contrast", "protein is white", evidence)


def _judge_shifts(agreement: "Agreement", particles: "Particles") -> Finding:
    shift = agreement.best.shift
    others = [
        agreement.margins[name]
        for name in ("opposite", "no shifts", "shifts as given")
        if name in agreement.margins
    ]
    evidence = _surely(others)
    if shift == 0:
        cure = "set the origins to 0; were the images centred when they were extracted?"
        return Finding("shifts", "shifts do not belong to these images", evidence, "wrong", cure)
    if shift < 0:
        cure = (
            "negate _rlnOriginXAngst and _rlnOriginYAngst (cryoSPARC alignments3D/shift, "
            "EMAN2 tx and ty)"
        )
        return Finding("shifts", "shifts have the wrong sign", evidence, "wrong", cure)
    if agreement.cannot_tell(["opposite"]):
        size = float(particles.poses.shift.square().sum(-1).mean().sqrt())
        return Finding("shifts", "cannot tell", f"they are {size:.2g} Å", "cannot tell")
    return Finding("shifts", "as given", evidence)


def _judge_rotations(agreement: "Agreement") -> Finding:
    from cryomix.imaging.readings import TURNED

    names = [*TURNED, "shuffled", "as given"]
    evidence = _surely([agreement.margins[name] for name in names if name in agreement.margins])
    if agreement.best.rotation in _TURNED:
        words, cure = _TURNED[agreement.best.rotation]
        return Finding("rotations", words, evidence, "wrong", cure)
    return _settled("rotations", "as given", evidence, agreement.cannot_tell(TURNED))


def _judge_hand(agreement: "Agreement") -> Finding:
    from cryomix.imaging.readings import MIRRORED

    names = [*MIRRORED, "as given"]
    evidence = _surely([agreement.margins[name] for name in names if name in agreement.margins])
    if agreement.best.rotation in MIRRORED:
        words = "the map has the other hand than the poses"
        cure = f"{_HAND}; it is {agreement.best.rotation}"
        return Finding("hand", words, evidence, "wrong", cure)
    open_names = agreement.cannot_tell(MIRRORED)
    return _settled("hand", "map and poses have the same", evidence, open_names)


def _judge_images(agreement: "Agreement") -> Finding:
    from cryomix.imaging.readings import FLIPPED

    evidence = _surely([agreement.margins[name] for name in FLIPPED if name in agreement.margins])
    if agreement.best.rotation in FLIPPED:
        name = agreement.best.rotation
        words = f"{name.replace('images', 'images are')} relative to their poses"
        cure = f"undo it on the stack: {_FLIPPED[name]}"
        return Finding("image axes", words, _surely([agreement.margins["as given"]]), "wrong", cure)
    return _settled("image axes", "as given", evidence, agreement.cannot_tell(FLIPPED))


def _judge_phases(agreement: "Agreement", particles: "Particles") -> Finding:
    best, given = agreement.best.transfer, agreement.given.transfer
    kinds = ("signed", "absolute", "none")
    evidence = _surely([agreement.margins[kind] for kind in kinds if kind in agreement.margins])
    if best == "none":
        words = "the images show no CTF"
        cure = "take images that are not corrected for the CTF, as they were extracted"
        return Finding("phases", words, evidence, "wrong", cure)
    if best != given:
        said = "_rlnCtfDataArePhaseFlipped in data_optics"
        if particles.has_flipped_phases:
            words, cure = "phases were not flipped although the file says so", f"set {said} to 0"
        else:
            words, cure = "phases were flipped already", f"set {said} to 1"
        return Finding("phases", words, evidence, "wrong", cure)
    answer = "flipped, as the file says" if particles.has_flipped_phases else "not flipped"
    return _settled("phases", answer, evidence, agreement.cannot_tell(kinds))


def _judge_scale(
    agreement: "Agreement", particles: "Particles", voxel_size: float | None
) -> list[Finding]:
    size, stretch, best = particles.pixel_size, agreement.stretch, agreement.best
    factor = f"{stretch.low:.3f} to {stretch.high:.3f}"
    if best.defocus < 0:
        words, cure = "defocus has the wrong sign", "negate _rlnDefocusU and _rlnDefocusV"
        return [Finding("defocus", words, f"times {best.defocus:.3g}", "wrong", cure)]
    if best.defocus in (10.0, 1e4):
        unit = "nm" if best.defocus == 10 else "µm"
        cure = f"multiply _rlnDefocusU and _rlnDefocusV by {best.defocus:g}: they must be in Å"
        return [Finding("defocus", f"defocus is in {unit}", "", "wrong", cure)]
    if best.defocus != 1:
        return [_name_stretch(agreement, size)]
    findings = []
    if abs(abs(best.shift) - 1) > 1e-6 and best.shift:
        cure = (
            f"multiply the shifts by {abs(best.shift):.3f}: are they in pixels, or of images of "
            "another pixel size?"
        )
        words = f"shifts are {1 / abs(best.shift):.3f} times too long"
        if abs(best.shift) > 1:
            words = f"shifts are {abs(best.shift):.3f} times too short"
        findings.append(Finding("shift length", words, "", "wrong", cure))
    if voxel_size is not None:
        cure = (
            f"set the voxel size of the map to {size:g} Å: relion_image_handler "
            f"--force_header_angpix {size:g}, e2proc3d.py --apix {size:g}"
        )
        words = f"the header of the map says {voxel_size:g} Å per voxel, the images {size:g} Å"
        findings.append(Finding("voxel size", words, f"factor {factor}", "wrong", cure))
    if stretch.low == 0 or math.isinf(stretch.high):
        words = "the images do not show where their CTF crosses zero"
        findings.append(Finding("pixel size, defocus", "cannot tell", words, "cannot tell"))
    else:
        findings.append(Finding("pixel size, defocus", "as given", f"factor {factor}"))
    return findings


def _judge_astigmatism(agreement: "Agreement") -> Finding:
    kinds = [name for name in agreement.margins if name.startswith("astigmatism")]
    evidence = _surely([agreement.margins[name] for name in kinds])
    if agreement.best.astigmatism == "exchanged":
        cure = "exchange _rlnDefocusU and _rlnDefocusV, or add 90 to _rlnDefocusAngle"
        return Finding("astigmatism", "defocus U and V are exchanged", evidence, "wrong", cure)
    if agreement.best.astigmatism == "mirrored":
        cure = "negate _rlnDefocusAngle"
        return Finding("astigmatism", "its angle runs the other way", evidence, "wrong", cure)
    if agreement.cannot_tell(kinds):
        return Finding("astigmatism", "too weak to tell its angle", evidence, "note")
    return Finding("astigmatism", "as given", evidence)


def _name_stretch(agreement: "Agreement", size: float) -> Finding:
    stretch = agreement.stretch
    true = size / stretch.value
    found = f"factor {stretch.value:.3f}, {stretch.low:.3f} to {stretch.high:.3f}"
    pixel = (
        f"set _rlnImagePixelSize in data_optics to {true:.4g} Å (cryoSPARC blob/psize_A, EMAN2 "
        "apix_x), and the header of the map likewise"
    )
    if abs(abs(agreement.best.shift) - 1) > 1e-6:
        words = f"the pixel size is {stretch.value:.3f} times the true one"
        if stretch.value < 1:
            words = f"the true pixel size is {1 / stretch.value:.3f} times the given one"
        return Finding("pixel size", words, found, "wrong", pixel)
    words = (
        f"the CTF does not fit: the pixel size is {stretch.value:.3f} times the true one, or the "
        f"defocus {1 / stretch.value**2:.3f} times"
    )
    return Finding("pixel size, defocus", words, found, "wrong", f"{pixel}; or mend the defocus")


def _settled(question: str, answer: str, evidence: str, open_names: list[str]) -> Finding:
    state: State = "cannot tell" if open_names else "ok"
    if open_names:
        return Finding(question, "cannot tell", f"{', '.join(open_names)}: fits as well", state)
    return Finding(question, answer, evidence, state)


def _surely(margins: list[float]) -> str:
    return f"{min(margins):.0f} standard errors" if margins else ""
