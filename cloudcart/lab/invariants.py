"""What must be true of the shop's data at any quiet moment, whatever went wrong before; checked, never assumed."""

from __future__ import annotations

from typing import NamedTuple


class InvariantResult(NamedTuple):
    """One invariant: ``verdict`` is pass, fail or inconclusive; ``detail`` says what was found."""

    name: str
    verdict: str
    detail: str
