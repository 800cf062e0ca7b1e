"""Buyers who never give up: check-outs that can be asked for again and again, with one effect each.

A time-out, a cut connection or a 5xx says nothing about what happened. Such a step is *unknown* and is asked for again
later with the same ``Idempotency-Key``, until the shop says what became of it. Used by ``kill_run.py``.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from cloudcart.exceptions import UpstreamError
from cloudcart.lab import Lab, PreparedUser
from cloudcart.services.http_client import HttpClient, Response

BUYERS = 50
CROWD = 20  # who ask again at the same time; more would only be refused again
PRODUCTS = 24  # of the seed
SCARCE = PRODUCTS  # the one that is to run out
SCARCE_SHARE = 0.1  # of check-outs
CANCELLED_SHARE = 0.2  # of paid orders: their stock has to come back, once
TIMEOUT = 10.0  # seconds; longer than the gateway takes to give up


class Outcome(StrEnum):
    """What is known of one step of a check-out."""

    UNTRIED = "untried"
    DONE = "done"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass
class Checkout:
    """One buyer's order, its payment, and for some its cancellation."""

    buyer: PreparedUser
    key: str
    product: int
    quantity: int
    cancels: bool
    order_id: int = 0
    ordered: Outcome = Outcome.UNTRIED
    paid: Outcome = Outcome.UNTRIED
    cancelled: Outcome = Outcome.UNTRIED

    @property
    def settled(self) -> bool:
        """Whether nothing more is to be asked."""
        if self.ordered is not Outcome.DONE:
            return self.ordered is Outcome.REFUSED
        if self.paid is not Outcome.DONE:
            return self.paid is Outcome.REFUSED
        return not self.cancels or self.cancelled in (Outcome.DONE, Outcome.REFUSED)


class Stock(NamedTuple):
    """How much there is: of one product too little for all, of the others enough."""

    scarce: int
    plenty: int = 1_000_000


class Shop:
    """The shop as its buyers see it, through the gateway."""

    def __init__(self, lab: Lab) -> None:
        self._base = lab.urls["gateway"]
        self._admin = lab.token()
        self._client = HttpClient()
        self.answers: Counter[str] = Counter()  # by step and status; 0 is no answer
        self.unknown = 0  # answers, or none, that do not say what happened
        self.surprises: Counter[str] = Counter()  # answers that no fault explains

    async def stock_up(self, stock: Stock) -> None:
        """Have so much of everything."""
        for product in range(1, PRODUCTS + 1):
            body = {"stock": stock.scarce if product == SCARCE else stock.plenty}
            answer = await self._ask("stock", "PATCH", f"/products/{product}/stock", self._admin, body)
            assert answer is not None, "nothing is broken yet"
            assert answer.status == 200, answer.body

    async def check_out(self, each: Checkout) -> None:
        """Do every step that is not done, up to one that is refused or of which nothing is known."""
        if each.ordered is not Outcome.DONE:
            each.ordered = await self._order(each)
        if each.ordered is Outcome.DONE and each.paid not in (Outcome.DONE, Outcome.REFUSED):
            each.paid = await self._pay(each)
        if each.paid is Outcome.DONE and each.cancels and each.cancelled is not Outcome.DONE:
            each.cancelled = await self._cancel(each)

    async def settle(self, checkouts: Sequence[Checkout], patience: float) -> None:
        """Ask again until the outcome of each is known, or for ``patience`` seconds none more was."""
        left = [each for each in checkouts if not each.settled]
        end = time.monotonic() + patience
        while left and time.monotonic() < end:
            for first in range(0, len(left), CROWD):
                await asyncio.gather(*map(self.check_out, left[first : first + CROWD]))
            before, left = len(left), [each for each in left if not each.settled]
            if len(left) < before:
                end = time.monotonic() + patience
            await asyncio.sleep(0.2)

    async def close(self) -> None:
        """Hang up."""
        await self._client.aclose()

    async def _order(self, each: Checkout) -> Outcome:
        body = {"items": [{"product_id": each.product, "quantity": each.quantity}]}
        answer = await self._ask("order", "POST", "/orders", each.buyer.token, body, each.key)
        if answer is None:
            return Outcome.UNKNOWN
        if answer.status != 201:
            return self._surprise("order", answer)
        each.order_id = answer.json()["id"]
        return Outcome.DONE

    async def _pay(self, each: Checkout) -> Outcome:
        path, body = f"/orders/{each.order_id}/pay", {"payment_method": "card"}
        answer = await self._ask("pay", "POST", path, each.buyer.token, body, each.key)
        if answer is None:
            return Outcome.UNKNOWN
        if answer.status == 200:
            return Outcome.DONE
        if answer.status == 409 and "missing" in answer.json():
            return Outcome.REFUSED
        if answer.status == 409 and "attempt" in _error(answer):  # given up, or another one is under way
            return Outcome.UNKNOWN
        return self._surprise("pay", answer)

    async def _cancel(self, each: Checkout) -> Outcome:
        path = f"/orders/{each.order_id}"
        answer = await self._ask("cancel", "PATCH", f"{path}/status", each.buyer.token, {"status": "cancelled"})
        if answer is None:
            return Outcome.UNKNOWN
        if answer.status == 200:
            return Outcome.DONE
        shown = await self._ask("look", "GET", path, each.buyer.token)  # the first time it may have been done
        if shown is None:
            return Outcome.UNKNOWN
        return Outcome.DONE if shown.json().get("status") == "cancelled" else self._surprise("cancel", answer)

    async def _ask(
        self, step: str, method: str, path: str, token: str, body: dict[str, Any] | None = None, key: str = ""
    ) -> Response | None:
        """Return an answer that says what happened, or None."""
        headers = [(b"authorization", f"Bearer {token}".encode()), (b"content-type", b"application/json")]
        headers += [(b"idempotency-key", key.encode())] if key else []
        content = json.dumps(body).encode() if body is not None else b""
        answer: Response | None = None
        with suppress(UpstreamError):
            answer = await self._client.request(
                method, self._base, f"/api{path}", headers=headers, body=content, timeout=TIMEOUT
            )
        status = answer.status if answer else 0
        self.answers[f"{step} {status}"] += 1
        if status == 500:
            self.surprises[f"{step} was answered with 500"] += 1
        if answer is None or status >= 500:
            self.unknown += 1
            return None
        return answer

    def _surprise(self, step: str, answer: Response) -> Outcome:
        self.surprises[f"{step} was answered with {answer.status}: {_error(answer)}"] += 1
        return Outcome.REFUSED


def _error(answer: Response) -> str:
    try:
        return str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        return repr(answer.body[:100])


def plan(buyers: Sequence[PreparedUser], count: int, draw: random.Random) -> list[Checkout]:
    """Return what ``count`` buyers are going to do."""
    return [
        Checkout(
            buyer=buyers[number % len(buyers)],
            key=f"check-out-{number}",
            product=SCARCE if draw.random() < SCARCE_SHARE else draw.randrange(1, SCARCE),
            quantity=draw.randint(1, 3),
            cancels=draw.random() < CANCELLED_SHARE,
        )
        for number in range(count)
    ]


async def visit(shop: Shop, checkouts: Sequence[Checkout], rate: float) -> None:
    """Let the buyers come at a steady rate, whether or not those before them are served (an open model)."""
    began = time.monotonic()
    async with asyncio.TaskGroup() as served:
        for number, each in enumerate(checkouts):
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            served.create_task(shop.check_out(each))
