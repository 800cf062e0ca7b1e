"""How the chaos service reaches the lab's supervisor, which alone can stop, kill and start service processes.

One JSON line asks, one answers, on the Unix socket named by ``settings.chaos.supervisor`` (``lab.control`` is the other
end). The supervisor keeps each deadline itself; when this process dies, what it held is released in its time.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Final

from cloudcart.exceptions import LabError

_PATIENCE: Final = 2.0  # seconds


class Supervisor:
    """Asks the supervisor.

    Args:
        path: of its control socket.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    async def __call__(self, question: Mapping[str, object]) -> None:
        """Have one command carried out.

        Raises:
            LabError: it cannot be reached, or refuses; the message says which.
        """
        try:
            async with asyncio.timeout(_PATIENCE):
                answer = json.loads(await self._exchange(json.dumps(question).encode() + b"\n") or b"{}")
        except OSError as error:  # TimeoutError is one, too
            raise LabError(f"the supervisor does not answer: {error or 'no answer in time'}") from None
        if not answer.get("ok"):
            raise LabError(answer.get("error", "the supervisor broke off"))

    async def _exchange(self, line: bytes) -> bytes:
        reader, writer = await asyncio.open_unix_connection(self._path)
        try:
            writer.write(line)
            return await reader.readline()
        finally:
            writer.close()
