"""The proxy on real sockets and on both event loops: bytes, ends, resets, backpressure, and faults that come and go."""

from __future__ import annotations

import asyncio
import hashlib
import math
import socket
import time

import pytest

from cloudcart.exceptions import LabError


async def ask(streams, data=b"ping"):
    reader, writer = streams
    begun = time.monotonic()
    writer.write(data)
    assert await reader.readexactly(len(data)) == data
    return time.monotonic() - begun


def test_bytes_pass_unchanged_both_ways_and_the_end_too(run, rig, until):
    async def check():
        async with rig() as links:
            reader, writer = await links.connect()
            content = bytes(range(256)) * 40_000  # more than all buffers on the way take
            reading = asyncio.create_task(reader.read(-1))
            writer.write(content)
            writer.write_eof()  # half-closed: the rest of the answer still comes
            assert hashlib.sha256(await reading).digest() == hashlib.sha256(content).digest()
            writer.close()
            await until(lambda: links.proxy.connections == 0)

    run(check())


def test_unix_sockets(run, rig, short_directory):
    async def check():
        async with rig(unix=short_directory) as links:
            streams = await links.connect()
            await ask(streams, b"x" * 300_000)
            links.inject("link_down")
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await ask(streams)

    run(check())


@pytest.mark.parametrize("accepted_first", [True, False])
def test_who_was_on_the_way_in_is_cut_with_the_rest(run, rig, accepted_first):
    async def check():
        loop = asyncio.get_running_loop()
        async with rig() as links:
            caller, accepted = socket.socketpair()
            caller.setblocking(False)
            if accepted_first:
                end = links.proxy._accept()
            links.proxy.close()
            if not accepted_first:
                end = links.proxy._accept()
            await loop.connect_accepted_socket(lambda: end, accepted)  # only now does the connection begin
            with caller:
                assert await asyncio.wait_for(loop.sock_recv(caller, 1), 5) == b""

    run(check())


def test_a_reader_who_does_not_read_stops_the_writer(run, rig):
    async def flood(_reader, writer):
        try:
            while True:
                writer.write(bytes(65536))
                await writer.drain()
                sent.append(65536)
        except OSError:
            pass
        finally:
            writer.close()

    sent: list[int] = []

    async def check():
        async with rig(serve=flood) as links:
            reader, writer = await links.connect()
            before = -1
            while before != len(sent):
                before = len(sent)
                await asyncio.sleep(0.1)
            assert sum(sent) < 50 * 2**20
            await reader.readexactly(20 * 2**20)  # and goes on when it is read
            writer.transport.abort()

    run(check())


def test_a_reset_is_passed_on(run, rig):
    async def cut(reader, writer):
        await reader.readexactly(1)
        writer.get_extra_info("socket").setsockopt(1, 13, b"\x01\0\0\0\0\0\0\0")  # SO_LINGER: close by RST
        writer.transport.abort()

    async def check():
        async with rig(serve=cut) as links:
            reader, writer = await links.connect()
            writer.write(b"x")
            with pytest.raises(ConnectionResetError):
                await reader.read(1)
            writer.close()

    run(check())


def test_nobody_behind_it(run, rig, until):
    async def check():
        async with rig() as links:
            links.proxy.upstream = type(links.proxy.upstream)("127.0.0.1", 1)
            reader, writer = await links.connect()
            with pytest.raises(ConnectionResetError):
                await reader.read(1)
            writer.close()
            await until(lambda: links.proxy.connections == 0)

    run(check())


def test_a_taken_address_is_a_sentence(run, rig):
    async def check():
        async with rig() as links, rig() as others:
            with pytest.raises(LabError, match="cannot be listened on"):
                await others.proxy.listen(links.address)

    run(check())


def test_latency_on_one_way_is_precise_and_ends_with_the_heal(run, rig, until):
    async def check():
        async with rig() as links:
            streams = await links.connect()
            short = links.inject("link_latency", latency="60ms", stream="downstream")
            slow = [await ask(streams) for _ in range(5)]
            assert 0.059 < min(slow) < 0.2
            assert links.counts(short) == (5, 5)
            links.faults.remove(short)
            endless = links.inject("link_latency", latency="60s", stream="downstream")
            waiting = asyncio.create_task(ask(streams))
            await until(lambda: links.counts(endless) == (1, 1))
            links.faults.remove(endless)
            await waiting  # what was held back was let go
            await ask(streams)

    run(check())


def test_both_ways_and_stacked(run, rig):
    async def check():
        async with rig() as links:
            streams = await links.connect()
            links.inject("link_latency", latency="20ms")
            links.inject("link_latency", latency="10ms", stream="upstream")
            links.inject("link_slice", size=1, pause="2ms", stream="downstream")
            assert await ask(streams, b"pings") > 0.055

    run(check())


def test_probability_is_drawn_for_each_chunk(run, rig):
    async def check():
        async with rig() as links:
            streams = await links.connect()
            fault = links.inject("link_latency", latency="1ms", stream="upstream", probability=0.3, seed=7)
            for _ in range(100):
                await ask(streams)
            drawn, injected = links.counts(fault)
            assert drawn == 100
            assert 15 < injected < 45

    run(check())


def test_first_counts_chunks(run, rig):
    async def check():
        async with rig() as links:
            streams = await links.connect()
            fault = links.inject("link_latency", latency="50ms", stream="upstream", first=1)
            assert await ask(streams) > 0.045
            await ask(streams)
            assert links.counts(fault) == (1, 1)

    run(check())


def test_bandwidth(run, rig):
    async def check():
        async with rig() as links:
            streams = await links.connect()
            links.inject("link_bandwidth", rate="1000kB", stream="upstream")
            times = [await ask(streams, bytes(200_000)) for _ in range(3)]
            assert 0.19 < min(times) < 1

    run(check())


def test_down_cuts_what_lives_and_what_comes(run, rig):
    async def check():
        async with rig() as links:
            live, idle = await links.connect(), await links.connect()
            await ask(live)
            await ask(idle)
            fault = links.inject("link_down")
            with pytest.raises(ConnectionResetError):
                await live[0].read(1)
            fresh, _ = await links.connect()
            with pytest.raises(ConnectionResetError):
                await fresh.read(1)
            assert links.counts(fault) == (3, 3)
            links.faults.remove(fault)
            await ask(await links.connect())

    run(check())


def test_a_silent_link_delivers_after_the_heal(run, rig):
    async def check():
        async with rig() as links:
            streams = await links.connect()
            fault = links.inject("link_blackhole")
            waiting = asyncio.create_task(ask(streams, b"x" * 5000))
            fresh = asyncio.create_task(ask(await links.connect()))
            await asyncio.wait((waiting, fresh), timeout=0.1)
            assert not waiting.done()
            assert not fresh.done()
            links.faults.remove(fault)
            await waiting
            await fresh

    run(check())


def test_reset_spares_idle_connections(run, rig):
    async def check():
        async with rig() as links:
            streams, idle = await links.connect(), await links.connect()
            await ask(streams)
            fault = links.inject("link_reset", first=1)
            with pytest.raises(ConnectionResetError):
                await ask(streams)
            await ask(idle)
            assert links.counts(fault)[1] == 1

    run(check())


def test_a_fault_ends_by_its_time_alone(run, rig, until):
    async def check():
        async with rig() as links:
            streams = await links.connect()
            links.inject("link_blackhole", ttl="100ms")
            assert await ask(streams) > 0.09
            assert links.faults.records() == []

    run(check())


def test_max_active_counts_connections(run, rig):
    async def check():
        async with rig() as links:
            links.inject("link_blackhole", max_active=1)
            first, second = await links.connect(), await links.connect()
            done, waiting = await asyncio.wait(
                {asyncio.create_task(ask(first)), asyncio.create_task(ask(second))}, timeout=0.2
            )
            assert (len(done), len(waiting)) == (1, 1)
            links.faults.clear()
            await asyncio.gather(*waiting)

    run(check())


def test_faults_that_come_and_go_under_traffic_lose_no_byte(run, rig):
    async def check():
        async with rig() as links:
            reader, writer = await links.connect()
            content = bytes(range(251)) * 8_000
            reading = asyncio.create_task(reader.readexactly(len(content)))
            kinds = [
                ("link_latency", {"latency": "5ms", "jitter": "5ms"}),
                ("link_slice", {"size": 4000, "variation": 900, "pause": "0.1ms"}),
                ("link_bandwidth", {"rate": "40MB"}),
                ("link_blackhole", {"probability": 0.5}),
            ]
            active: list[str] = []
            for place in range(0, len(content), 60_000):
                writer.write(content[place : place + 60_000])
                kind, fields = kinds[(place // 60_000) % len(kinds)]
                active.append(links.inject(kind, **fields))
                if len(active) > 3:
                    links.faults.remove(active.pop(0))
                await asyncio.sleep(0.005)
            links.faults.clear()
            assert await reading == content

    run(check())


def test_nan_never(run, rig):
    """Stacked silence and limits make infinite times, never senseless ones."""

    async def check():
        async with rig() as links:
            streams = await links.connect()
            for kind, fields in (
                ("link_blackhole", {}),
                ("link_bandwidth", {"rate": 1000}),
                ("link_latency", {"latency": 1}),
            ):
                links.inject(kind, **fields)
            waiting = asyncio.create_task(ask(streams))
            await asyncio.sleep(0.02)
            courses = [end.course for c in links.proxy._connections for end in (c.near, c.far)]
            assert all(not math.isnan(course.next_after(0.0)) for course in courses)
            links.faults.clear()
            await waiting

    run(check())
