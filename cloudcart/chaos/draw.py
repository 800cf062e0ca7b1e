"""Random numbers that depend on nothing but (seed, fault, request key), so that a run can be repeated exactly.

Not a generator: there is no state to advance, so neither the order nor the concurrency of requests matters. Called by
``chaos.active`` for every request that a fault might hit.
"""

from __future__ import annotations

import hashlib
from typing import Final

NUMBERS: Final = 8
"""Numbers that one draw yields: number 0 decides whether the fault hits, 1 to 7 are its parameters."""

_SCALE: Final = 2.0**-53  # a float in [0, 1) has 53 bits


class Draws:
    """The draws of one fault: 64 bytes of BLAKE2b over (seed, fault identity, request key) are eight numbers.

    The part of the hash that is the same for every request is computed once, when the fault becomes active.

    Args:
        seed: chooses the whole family of numbers; any non-negative integer.
        identity: the fault's part, see :attr:`cloudcart.faults.Fault.identity`.
        ordinal: tells apart faults with the same identity that are active together (0 for the first).
    """

    __slots__ = ("_begun",)

    def __init__(self, seed: int, identity: bytes, ordinal: int = 0) -> None:
        self._begun = hashlib.blake2b(f"{seed}/{ordinal}/{len(identity)}/".encode() + identity, digest_size=8 * NUMBERS)

    def digest(self, key: str) -> bytes:
        """Return the numbers that belong to the request ``key``, to be read with :func:`number`."""
        hashed = self._begun.copy()
        hashed.update(key.encode("utf-8", "surrogatepass"))
        return hashed.digest()


def number(digest: bytes, index: int) -> float:
    """Return the ``index``-th number of a draw (0 to 7), uniform in [0, 1).

    Raises:
        IndexError: there is no such number.
    """
    if not 0 <= index < NUMBERS:
        raise IndexError(f"a draw has numbers 0 to {NUMBERS - 1}, not {index}")
    return (int.from_bytes(digest[8 * index : 8 * index + 8], "little") >> 11) * _SCALE


def uniform(seed: int, identity: bytes, key: str, index: int) -> float:
    """Return one number without keeping the fault's part: for tests and for reading a record afterwards."""
    return number(Draws(seed, identity).digest(key), index)
