"""One line of what `cryomix check` found, and the table of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "wrong", "cannot tell", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was asked, what was found, and how that is known.

    Attributes
    ----------
    question
        What was looked at.
    answer
        In a few words.
    evidence
        The number behind it.
    state
        Only ``wrong`` makes the command fail.
    cure
        What to change, in the words of the programs that write such files.
    """

    question: str
    answer: str
    evidence: str = ""
    state: State = "ok"
    cure: str = ""


def format_table(findings: Sequence[Finding]) -> str:
    """Question, answer and evidence under each other."""
    rows = [(one.question, _mark(one), one.evidence) for one in findings]
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    lines = [f"{a:{widths[0]}}  {b:{widths[1]}}  {c}".rstrip() for a, b, c in rows]
    return "\n".join(lines)


def problems_of(findings: Sequence[Finding]) -> list[str]:
    """What is wrong, each in one line with its cure."""
    return [_sentence(one) for one in findings if one.state == "wrong"]


def verdict(findings: Sequence[Finding]) -> str:
    """The last line."""
    wrong = sum(one.state == "wrong" for one in findings)
    if wrong:
        return f"{wrong} found"
    open_questions = [one.question for one in findings if one.state == "cannot tell"]
    if open_questions:
        return f"nothing wrong was found; these images cannot tell: {', '.join(open_questions)}"
    return "all inputs agree"


def _mark(finding: Finding) -> str:
    return f"WRONG: {finding.answer}" if finding.state == "wrong" else finding.answer


def _sentence(finding: Finding) -> str:
    evidence = f" ({finding.evidence})" if finding.evidence else ""
    cure = f": {finding.cure}" if finding.cure else ""
    return f"{finding.answer}{evidence}{cure}"
