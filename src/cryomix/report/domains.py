"""What a report says in words of the motions of domains."""

from collections.abc import Sequence

from cryomix.latent.localized_path import DomainMotion
from cryomix.latent.screw_motion import ScrewMotion
from cryomix.report.findings import Finding

_RIGID = 0.9  # of the overlap: above it, the part moves as one body
_SURE = 2.0  # standard errors


def summarize_domains(motions: Sequence[DomainMotion]) -> list[Finding]:
    """One statement per domain."""
    return [
        Finding(
            f"Domain {motion.name} {describe_screw_motion(motion.rigid)} Of the motion along its "
            f"path, {100 * motion.share_inside:.0f} % is its own.",
            "plain" if motion.share_inside >= 0.5 else "bad",
        )
        for motion in motions
    ]


def describe_screw_motion(motion: ScrewMotion) -> str:
    """Rotation, axis, hinge and shift, with their standard errors."""
    along = f"shifts by {abs(motion.shift):.1f} ± {motion.shift_error:.1f} Å along it"
    if motion.angle_deg < _SURE * motion.angle_error_deg or motion.angle_deg < 1:
        words = f"does not surely turn ({motion.angle_deg:.0f} ± {motion.angle_error_deg:.0f}°)"
    else:
        axis = ", ".join(f"{value:.2f}" for value in motion.axis.tolist())
        hinge = ", ".join(f"{value:.0f}" for value in motion.hinge.tolist())
        words = (
            f"turns by {motion.angle_deg:.0f} ± {motion.angle_error_deg:.0f}° about the axis "
            f"({axis}), sure to {motion.axis_error_deg:.0f}°, through ({hinge}) Å, and {along}"
        )
    words += f"; its centre travels {motion.travel:.1f} Å."
    if motion.explained < _RIGID:
        words += (
            f" It is not one rigid body: a rigid motion explains {100 * motion.explained:.0f} % of "
            "the overlap."
        )
    return words
