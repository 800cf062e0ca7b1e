"""The control arm: visits that no fault hits, on the same shop at the same time as those that are hit.

Which visits is a hash of the visit's part of the request key, so a service and whoever reads the rows afterwards agree
without telling each other, and all faults spare the same visits. Called by ``chaos.active`` and ``experiment``.
"""

from __future__ import annotations

import hashlib
from typing import Final

_PERSON: Final = b"cc-control-arm"  # keeps these draws apart from those of faults
_SCALE: Final = 2.0**-64


def in_control_arm(key: str, share: float) -> bool:
    """Say whether the visit of a request key (``<journey>/<arrival>/<step>``) is one of the ``share`` that is spared.

    Nothing but journey and arrival matters: every step of a visit, every retry, every call on its behalf is on the
    same side.
    """
    visit = "/".join(key.split("/", 2)[:2])
    digest = hashlib.blake2b(visit.encode("utf-8", "surrogatepass"), digest_size=8, person=_PERSON).digest()
    return int.from_bytes(digest, "little") * _SCALE < share
