from __future__ import annotations

import asyncio

from cloudcart.services.server import _AtEndOfTurn


class Recorder(asyncio.Transport):
    """A transport that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[object] = []

    def write(self, data: object) -> None:
        self.calls.append(bytes(data))  # type: ignore[call-overload]

    def close(self) -> None:
        self.calls.append("close")

    def is_closing(self) -> bool:
        return "close" in self.calls


def test_what_is_written_in_one_turn_goes_out_together() -> None:
    async def run() -> None:
        recorder = Recorder()
        transport = _AtEndOfTurn(recorder)
        transport.write(b"head ")
        transport.write(b"body")
        assert recorder.calls == []
        await asyncio.sleep(0)
        assert recorder.calls == [b"head body"]
        await asyncio.sleep(0)
        transport.write(b"next")
        await asyncio.sleep(0)
        assert recorder.calls == [b"head body", b"next"]

    asyncio.run(run())


def test_closing_writes_what_is_pending_first() -> None:
    async def run() -> None:
        recorder = Recorder()
        transport = _AtEndOfTurn(recorder)
        transport.write(b"last words")
        transport.close()
        await asyncio.sleep(0)
        assert recorder.calls == [b"last words", "close"]
        assert transport.is_closing()

    asyncio.run(run())
