"""Each kind of fault keeps its contract on a running shop: inject, the quantity moves; heal, it comes back.

By default each kind is measured with one seed, on the embedded backend; ``CLOUDCART_CONTRACTS_BACKEND`` names another
one. ``CLOUDCART_WRITE_CONTRACTS=1`` takes three seeds and writes what was measured to ``docs/fault-contracts.md``, also
of some kinds alone (``-k latency``); run that on a quiet machine, since nothing is then added to the declared times.
"""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from cloudcart.exceptions import FaultError
from cloudcart.faults import FAULTS, Fault, parse_fault
from cloudcart.faults.contract import Contract, Quantity
from cloudcart.units import format_duration

DOCUMENT: Final = Path(__file__).parents[3] / "docs" / "fault-contracts.md"
WRITING: Final = bool(os.environ.get("CLOUDCART_WRITE_CONTRACTS"))
SEEDS: Final = (1, 2, 3) if WRITING else (1,)
_SPARE: Final = 0.0 if WRITING else 10.0  # seconds beyond the declared times, where other tests use the machine, too
_REST: Final = 30.0  # seconds in which the last fault's traces go
_TTL: Final = "60s"
_HEAD: Final = ("kind", "example", "quantity", "moves by", "shows within", "clears within", "measured on",
                "moved by", "shown", "cleared", "hits")  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """What one injection did."""

    backend: str
    moved: float
    shown: float
    cleared: float
    hits: int


@pytest.fixture(scope="module")
def table(request: pytest.FixtureRequest) -> Iterator[dict[str, list[Measured]]]:
    """By kind: what was measured. Printed at the end, and written if asked for."""
    rows: dict[str, list[Measured]] = {}
    yield rows
    lines = {kind: line(kind, measured) for kind, measured in rows.items()}
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\n{page(lines)}")
    if WRITING:
        DOCUMENT.write_text(page({**still_true(), **lines}))


@pytest.mark.parametrize("kind", sorted(FAULTS))
def test_the_quantity_moves_and_comes_back_or_the_lab_says_what_is_missing(
    shop: Any, table: dict[str, Any], kind: str
) -> None:
    if kind == "broker_kill" and not shop.lab.settings.stores.kafka_durable:
        with pytest.raises(FaultError, match=re.escape(FAULTS[kind].needs)):
            measure(shop, kind, 1)
    else:
        table[kind] = [measure(shop, kind, seed) for seed in SEEDS]


def measure(shop: Any, kind: str, seed: int) -> Measured:
    """Inject, wait for the move, heal, wait for the return; hold each against the contract."""
    contract = FAULTS[kind].contract
    shop.lab.reset()
    read = shop.reader(contract.quantity)
    rest = wait_until(read, lambda value: value < contract.at_least / 2, _REST, contract.quantity)
    document = parse_fault({"kind": kind, "ttl": _TTL, "seed": seed, **contract.example})
    begun, looks = time.monotonic(), len(shop.looks)
    with shop.lab.inject_fault(document) as fault:
        left = contract.shows_within + _SPARE - (time.monotonic() - begun)
        moved = wait_until(read, lambda value: value - rest >= contract.at_least, left, contract.quantity)
        shown = time.monotonic() - begun
    healed = time.monotonic()
    left = contract.clears_within + _SPARE
    wait_until(read, lambda value: value - rest < contract.at_least / 2, left, contract.quantity)
    cleared = time.monotonic() - healed
    assert (shown <= contract.shows_within + _SPARE, cleared <= contract.clears_within + _SPARE) == (True, True)
    return Measured(shop.lab.backend, moved - rest, shown, cleared, check_accounts(shop, fault.id, looks))


def check_accounts(shop: Any, fault_id: str, looks: int) -> int:
    """Check that all accounts of an ended fault agree, and return how often it hit.

    They are the control plane's, the metrics, the events and, where the fault acts on requests, the marks of answers;
    a request whose client had gone, or whose connection was cut, may have been hit without being marked.
    """
    shop.lab.wait_ready()
    ended = shop.lab.chaos.fault(fault_id)
    assert ended["state"] == "healed"
    hits: int = ended["injected"]
    assert ended["drawn"] >= hits >= 1
    assert shop.counted_hits(fault_id) == hits
    assert shop.published_hits(fault_id) == hits
    if FAULTS[ended["kind"]].place == "exchange":
        marked = sum(fault_id in look.marks for look in shop.looks[looks:])
        unanswered = sum(not look.status for look in shop.looks[looks:])
        assert marked <= hits <= marked + unanswered
    return hits


def wait_until(read: Callable[[], float], wanted: Callable[[float], bool], seconds: float, quantity: Quantity) -> float:
    """Read until the value is as wanted, and return it."""
    end = time.monotonic() + seconds
    while not wanted(value := read()):
        assert time.monotonic() < end, f"{quantity.name} was {quantity.format(value)} to the end"
    return value


def test_every_quantity_that_is_promised_can_be_read(shop: Any) -> None:
    assert {kind.contract.quantity for kind in FAULTS.values()} == shop.quantities


# The document

PROSE = """\
# Contracts of the faults

What each kind of fault promises under its example, and what was measured with the seeds 1, 2 and 3: the fault was
injected, the quantity read until it had moved, the fault healed, and the quantity read until it was back, less than
half of the promised move above its rest. Times count from the call that injects or heals to the end of the reading that
shows it. Of the seeds the smallest move and the longest times are given, and the hits of each, in which control plane,
metrics, events and marked answers agreed.

Every kind keeps its contract on the embedded backend and in containers; `broker_kill` is measured in containers, since
the broker of the embedded backend keeps its messages in memory and would lose them.

`CLOUDCART_WRITE_CONTRACTS=1 pytest tests/lab/contracts` measures what the embedded backend can do and writes this page;
with `CLOUDCART_CONTRACTS_BACKEND=containers` and `-k broker_kill` the rest."""


def page(lines: Mapping[str, str]) -> str:
    """Return the table as a page of the documentation; ``lines`` are the kinds'."""
    head = [f"| {' | '.join(_HEAD)} |", f"|{'---|' * len(_HEAD)}"]
    return "\n".join([*PROSE.splitlines(), "", *head, *(lines[kind] for kind in sorted(lines)), ""])


def still_true() -> dict[str, str]:
    """Return the lines of the document whose contracts have not changed since."""
    beginnings = {kind: f"| {' | '.join(declared(FAULTS[kind]))} |" for kind in FAULTS}
    written = DOCUMENT.read_text().splitlines()
    return {kind: text for kind, begin in beginnings.items() for text in written if text.startswith(begin)}


def line(kind: str, measured: list[Measured]) -> str:
    """Return one line of the table."""
    cells = [
        " ".join(sorted({one.backend for one in measured})),
        FAULTS[kind].contract.quantity.format(min(one.moved for one in measured)),
        longest(one.shown for one in measured),
        longest(one.cleared for one in measured),
        " ".join(str(one.hits) for one in measured),
    ]
    return f"| {' | '.join([*declared(FAULTS[kind]), *cells])} |"


def longest(times: Iterable[float]) -> str:
    """Return the longest, rounded up to hundredths of a second."""
    return format_duration(math.ceil(max(times) * 100) / 100)


def declared(kind: type[Fault]) -> list[str]:
    """Return the cells that the kind itself declares."""
    contract: Contract = kind.contract
    example = " ".join(f"{name}={value}" for name, value in contract.example.items())
    times = [format_duration(seconds) for seconds in (contract.shows_within, contract.clears_within)]
    return [
        f"`{kind.kind}`",
        f"`{example}`",
        contract.quantity.name,
        contract.quantity.format(contract.at_least),
        *times,
    ]


def test_the_document_says_what_is_declared() -> None:
    told = [text.strip("| ").split(" | ") for text in DOCUMENT.read_text().splitlines() if text.startswith("| `")]
    assert [cells[:6] for cells in told] == [declared(FAULTS[kind]) for kind in sorted(FAULTS)], (
        "measure anew: CLOUDCART_WRITE_CONTRACTS=1 pytest tests/lab/contracts"
    )
