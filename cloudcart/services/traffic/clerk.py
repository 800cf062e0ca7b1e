"""The administrator behind the counter: fills up what visitors have bought out and sends off what they have paid for.

Without one the shop would be sold out after some hours, and no order would ever be on its way. Only what synthetic
visitors have touched is touched here: an order that a person made by hand, or a stock set to zero, stays as it is.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import SecretStr

from cloudcart.services.traffic.client import Answer, Client

_PAUSE: Final = 20.0  # seconds between two rounds; with ..
_ORDERS: Final = 4  # .. so many orders moved in each, the administrator's own rate limit is hardly touched
_LOW: Final = 20  # pieces at which a product is filled up
_FILL: Final = 100  # pieces that are added
_KEPT: Final = 200  # orders that wait to be sent off; more stay as they are
_RETURNED: Final = 0.1  # share of delivered orders that come back


@dataclass
class Sales:
    """What visitors have bought and nobody has seen to: ids of products, and of orders in their order."""

    products: set[int] = field(default_factory=set)
    paid: deque[int] = field(default_factory=lambda: deque(maxlen=_KEPT))
    shipped: deque[int] = field(default_factory=lambda: deque(maxlen=_KEPT))


class Clerk:
    """Sees to what was sold.

    Args:
        client: calls the shop.
        password: the administrator's; without one there is no clerk.
        sales: what visitors have bought.
        draw: decides what is returned.
    """

    def __init__(self, client: Client, password: SecretStr | None, sales: Sales, draw: random.Random) -> None:
        self._client = client
        self._password = password
        self._sales = sales
        self._draw = draw
        self._token = ""

    async def run(self) -> None:
        """See to it, again and again, until cancelled."""
        while self._password is not None:
            await asyncio.sleep(_PAUSE)
            await self.work(self._password)

    async def work(self, password: SecretStr) -> None:
        """Do one round."""
        if not self._token:
            login = {"username": "admin", "password": password.get_secret_value()}
            answer = await self._client.ask("POST", "/auth/login", body=login)
            if not answer.ok:
                return
            self._token = answer.document["token"]
        await self._fill_up()
        for _ in range(min(_ORDERS, len(self._sales.shipped))):
            await self._move(self._sales.shipped.popleft(), "delivered")
        for _ in range(min(_ORDERS, len(self._sales.paid))):
            await self._ship(self._sales.paid.popleft())

    async def _fill_up(self) -> None:
        sold, self._sales.products = self._sales.products, set()
        listed = await self._ask("GET", "/products", query="limit=500")
        for product in listed.document if listed.ok else ():
            if product["id"] in sold and product["stock"] <= _LOW:
                stock = {"stock": product["stock"] + _FILL}
                await self._ask("PATCH", "/products/{id}/stock", body=stock, id=product["id"])

    async def _ship(self, order_id: int) -> None:
        if (await self._move(order_id, "shipped")).ok:
            self._sales.shipped.append(order_id)

    async def _move(self, order_id: int, status: str) -> Answer:
        moved = await self._ask("PATCH", "/orders/{id}/status", body={"status": status}, id=order_id)
        if moved.ok and status == "delivered" and self._draw.random() < _RETURNED:
            return await self._ask("PATCH", "/orders/{id}/status", body={"status": "returned"}, id=order_id)
        return moved

    async def _ask(self, method: str, route: str, **request: Any) -> Answer:
        answer = await self._client.ask(method, route, token=self._token, **request)
        if answer.status == 401:
            self._token = ""
        return answer
