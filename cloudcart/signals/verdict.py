"""The three verdicts, and how several become one.

A verdict is a value, never an exception: checks return it, ``experiment`` merges it, the command line turns it into an
exit code. *Inconclusive* means that the evidence does not suffice; it is never a pass.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Verdict(StrEnum):
    """Pass, fail, or not enough evidence for either."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


def merge(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict on the whole: any fail is a fail, else any inconclusive is inconclusive.

    Nothing at all is inconclusive: a run that checked nothing has shown nothing.
    """
    found = set(verdicts)
    if Verdict.FAIL in found:
        return Verdict.FAIL
    return Verdict.PASS if found == {Verdict.PASS} else Verdict.INCONCLUSIVE
