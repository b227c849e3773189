"""What a report says in words of how sure its findings are."""

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor

from cryomix.latent.reduction import Embedding, fit_pca
from cryomix.report.content import ReportContent
from cryomix.report.findings import (
    Finding,
    count_in_words,
    gain_by_noise,
    lacks_variation,
)

# What becomes of 0.683 within one deviation and 0.954 within two where deviations are too small by
# a fifth, and of 0.683 where they are too large by a quarter.
_TOO_SMALL = (0.576, 0.890)
_TOO_LARGE = 0.789
# 2,000 latents that correlate with the defocus to 0.4 have 0.93; of sixty sets of 100 to 2,000
# latents that have nothing to do with it, the lowest was 0.97.
_LEAK = 0.95
_LEAKS = {
    "pose": ("imbalance_pose_latent", "imbalance_latent_pose"),
    "defocus": ("imbalance_ctf_latent", "imbalance_latent_ctf"),
}


def assess(content: ReportContent) -> list[Finding]:
    """How sure it is."""
    return [
        *_about_held_out(content),
        *_about_uncertainty(content),
        *_about_unseeing(content),
        *_about_halves(content),
        *_about_truth(content),
        *_about_error_bars(content.scores),
        *_about_leaks(content.scores),
    ]


def share_of_uncertain(
    std: Float[Tensor, "particles latent"], pca: Embedding
) -> tuple[float, float]:
    """Share of particles as uncertain as the spread along the first axis, and spread over std."""
    if pca.basis is None or pca.explained_variance is None:
        raise ValueError("uncertainty along an axis needs principal components")
    along = (std.double().square() @ pca.basis[0].square()).sqrt()
    spread = float(pca.explained_variance[0].sqrt())
    typical = max(float(along.median()), 1e-12)
    return float((along >= spread).double().mean()), spread / typical


def _about_held_out(content: ReportContent) -> list[Finding]:
    if not content.history:
        return []
    best = max(content.history, key=lambda row: row.held_out)
    unit = f" {content.score_unit}" if content.score_unit else ""
    if best.held_out <= 0:
        text = (
            "Particles kept out of the training agree no better with their own state than with "
            "the neutral model. No variation has been shown."
        )
        return [Finding(text, "bad")]
    findings = [_judge_gain(best.held_out, unit, content)]
    if best.training > 2 * best.held_out:
        ratio = best.training / best.held_out
        text = (
            f"Trained particles gain {ratio:.1f} times as much as those kept out: "
            "part of what was learned is noise."
        )
        findings.append(Finding(text, "bad"))
    return findings


def _judge_gain(held_out: float, unit: str, content: ReportContent) -> Finding:
    """A latent is found in the image that it then explains, so that noise gains half a nat each."""
    text = (
        "Particles kept out of the training agree better with their own state than with the "
        f"neutral model, by {held_out:.3g}{unit}."
    )
    by_noise = gain_by_noise(content)
    if by_noise is None or content.facts is None:
        return Finding(text + " `cryomix reproduce` tells whether that is more than noise gives.")
    latents = content.facts.latents or 0
    many = "one latent gains" if latents == 1 else f"{count_in_words(latents)} latents gain"
    noise = f"{many} about {by_noise:g} {'nat' if latents <= 2 else 'nats'} by fitting noise"
    if lacks_variation(content):
        return Finding(f"{text} But {noise}. No variation has been shown.", "bad")
    return Finding(f"{text} ({noise[0].upper()}{noise[1:]}.) The variation is real.", "good")


def _about_uncertainty(content: ReportContent) -> list[Finding]:
    if content.latent_map is None:
        return []
    pca = content.pca or fit_pca(content.latent_map.latent)
    share, ratio = share_of_uncertain(content.latent_map.std, pca)
    text = (
        f"Along the main axis particles spread {ratio:.1f} times as far as the place of a typical "
        f"one is uncertain; {100 * share:.0f} % are as uncertain as the whole spread."
    )
    return [Finding(text, "good" if ratio > 2 and share < 0.1 else "bad" if ratio < 1 else "plain")]


def _about_unseeing(content: ReportContent) -> list[Finding]:
    if content.unseeing is None:
        return []
    text = (
        f"{100 * content.unseeing:.0f} % of the particles are seen in a way that does not show the "
        "motion: their latents say little."
    )
    return [Finding(text, "bad" if content.unseeing > 0.5 else "plain")]


def _about_truth(content: ReportContent) -> list[Finding]:
    if not content.scores:
        return []
    return [Finding("The truth is known for these data; the scores against it are given below.")]


def _about_halves(content: ReportContent) -> list[Finding]:
    if content.halves is None:
        if content.scores or content.latent_map is None:
            return []
        text = "Whether each half of the particles alone shows the same was not tested: "
        return [Finding(text + "`cryomix reproduce` does.")]
    text = (
        f"From each half of the particles alone ({content.halves.page}): {content.halves.verdict}"
    )
    return [Finding(text, "good" if content.halves.is_reproducible else "bad")]


def _about_error_bars(scores: Mapping[str, float]) -> list[Finding]:
    if not {"coverage_1", "coverage_2"} <= scores.keys():
        return []
    one, two = scores["coverage_1"], scores["coverage_2"]
    text = (
        f"{100 * one:.0f} % of the truths lie within one standard deviation of what the latents "
        f"say, {100 * two:.0f} % within two; 68 % and 95 % should. The error bars are "
    )
    if one < _TOO_SMALL[0] or two < _TOO_SMALL[1]:
        return [Finding(text + "too small.", "bad")]
    if one > _TOO_LARGE:
        return [Finding(text + "larger than need be.")]
    return [Finding(text + "about right.", "good")]


def _about_leaks(scores: Mapping[str, float]) -> list[Finding]:
    """The lower of both directions counts: either is enough to know the one from the other."""
    lowest = {
        what: min(scores[name] for name in names)
        for what, names in _LEAKS.items()
        if all(name in scores for name in names)
    }
    if not lowest:
        return []
    known = [what for what, imbalance in lowest.items() if imbalance < _LEAK]
    measured = f"information imbalance {min(lowest.values()):.2f}; 1 is nothing, 0 is all"
    if known:
        text = (
            f"The latents tell something of the {' and of the '.join(known)} ({measured}): not "
            "all that they hold is a property of the molecule."
        )
        return [Finding(text, "bad")]
    return [
        Finding(f"The latents tell nothing of the {' or the '.join(lowest)} ({measured}).", "good")
    ]
