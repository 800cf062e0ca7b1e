"""The log files of a lab as lines: the last ones, and new ones as they come.

Not here: who writes them. A lab that ends takes its logs with it, which ends :meth:`LogFiles.follow`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

from cloudcart.exceptions import UsageError

_POLL: Final = 0.2  # seconds between two looks for new lines


class LogFiles:
    """Some logs of one lab, read from where the last call ended.

    Args:
        files: process to file.
    """

    def __init__(self, files: dict[str, Path]) -> None:
        self._files = files
        self._read = dict.fromkeys(files, 0)  # bytes of each that have been read
        self._width = max(map(len, files), default=0) if len(files) > 1 else 0

    @classmethod
    def of(cls, folder: Path, process: str | None) -> Self:
        """Return the logs in ``folder``, or the one of ``process``.

        Raises:
            UsageError: there is no such log; the message says which there are.
        """
        found = {path.stem: path for path in sorted(folder.glob("*.log"))}
        process = process and process.replace("/", "-")
        if process is not None and process not in found:
            raise UsageError(f"there is no log of {process!r}; choose one of {', '.join(found) or '(none yet)'}")
        return cls(found if process is None else {process: found[process]})

    def last(self, lines: int) -> Iterator[str]:
        """Yield the last ``lines`` of each log."""
        for process in self._files:
            yield from deque(self._new(process), maxlen=lines)

    def follow(self) -> Iterator[str]:
        """Yield new lines as they come, until the logs are gone."""
        while all(path.exists() for path in self._files.values()):
            for process in self._files:
                yield from self._new(process)
            time.sleep(_POLL)

    def _new(self, process: str) -> Iterator[str]:
        """Yield the whole lines that were added since the last look; a line being written waits for the next."""
        try:
            with self._files[process].open("rb") as file:
                file.seek(self._read[process])
                for line in file:
                    if not line.endswith(b"\n"):
                        return
                    self._read[process] += len(line)
                    text = line.decode(errors="replace").rstrip("\n")
                    yield f"{process:<{self._width}}  {text}" if self._width else text
        except FileNotFoundError:
            return  # the lab is ending
