"""What one synthetic visitor does: look around, buy, look after an order, sign up, log in, or something silly.

Visitors have accounts of their own, registered like anybody's: few at a time, since each is a password hash. What the
shop answers is taken as it comes; only a token that is not accepted any more makes a visitor forget an account.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple

from cloudcart.services.traffic.arrivals import Kind
from cloudcart.services.traffic.clerk import Sales
from cloudcart.services.traffic.client import Answer, Client
from cloudcart.settings import Traffic

_FIRST: Final = 5  # accounts that there have to be first: with fewer, each would meet the rate limit
_LOOKED_AT: Final = 24  # products in a list
_MOST: Final = 2  # pieces that a visitor buys
_WORDS: Final = ("mug", "lamp", "shirt", "bag", "book")
_UNPAID: Final = 0.1  # share of orders that nobody pays for
_CANCELLED: Final = 0.1  # share of paid orders that are cancelled
_PAYMENTS: Final = ("card", "paypal", "invoice")
_THINKING: Final = (0.05, 0.6)  # seconds between two requests of a visitor, from and to
_NO_SUCH_ID: Final = 2**31 - 1
_NO_TOKEN: Final = "made-up"  # noqa: S105  # that is the point of it


class _Account(NamedTuple):
    username: str
    password: str
    token: str


class Visits:
    """All visitors, with the accounts that they share.

    Args:
        client: calls the shop.
        traffic: how many accounts there may be.
        sales: where it is noted what they buy.
        draw: decides what visitors choose.
    """

    def __init__(self, client: Client, traffic: Traffic, sales: Sales, draw: random.Random) -> None:
        self._client = client
        self._sales = sales
        self._limit = traffic.accounts
        self._draw = draw
        self._accounts: dict[str, _Account] = {}
        self._registering = asyncio.Lock()
        self._visit: Mapping[Kind, Callable[[_Account], Awaitable[None]]] = {
            Kind.BROWSE: self._browse,
            Kind.BUY: self._buy,
            Kind.TRACK: self._track,
            Kind.LOGIN: self._log_in,
            Kind.MISTAKE: self._err,
        }

    async def visit(self, kind: Kind) -> None:
        """Do what a visitor of this kind does; returns when they leave."""
        if kind is Kind.REGISTER or len(self._accounts) < min(_FIRST, self._limit):
            await self._register()
        else:
            await self._visit[kind](self._draw.choice(list(self._accounts.values())))

    async def _register(self) -> None:
        async with self._registering:  # visitors who come together must not become too many
            if len(self._accounts) >= self._limit:
                return
            name, password = f"visitor-{secrets.token_hex(6)}", secrets.token_urlsafe(12)
            body = {"username": name, "email": f"{name}@example.com", "password": password}
            answer = await self._client.ask("POST", "/auth/register", body=body)
            if answer.ok:
                self._accounts[name] = _Account(name, password, answer.document["token"])

    async def _browse(self, account: _Account) -> None:
        product = await self._choose(account)
        if product is None:
            return
        if self._draw.random() < 0.5:
            category = product["category"]
            await self._ask(account, "GET", "/products/category/{category}", category=category)
        else:
            await self._ask(account, "GET", "/products", query=f"search={self._draw.choice(_WORDS)}")
        await self._ask(account, "GET", "/products/{id}", id=product["id"])

    async def _buy(self, account: _Account) -> None:
        product = await self._choose(account)
        if product is None:
            return
        items = [{"product_id": product["id"], "quantity": self._draw.randint(1, _MOST)}]
        order = await self._ask(account, "POST", "/orders", body={"items": items}, key=secrets.token_hex(16))
        if not order.ok or self._draw.random() < _UNPAID:
            return
        pay, number = {"payment_method": self._draw.choice(_PAYMENTS)}, order.document["id"]
        paid = await self._ask(account, "POST", "/orders/{id}/pay", body=pay, id=number, key=secrets.token_hex(16))
        if not paid.ok:
            return
        self._sales.products.add(product["id"])
        if self._draw.random() < _CANCELLED:
            await self._ask(account, "PATCH", "/orders/{id}/status", body={"status": "cancelled"}, id=number)
        else:
            self._sales.paid.append(number)

    async def _track(self, account: _Account) -> None:
        orders = await self._ask(account, "GET", "/orders/my-orders", query="limit=10")
        if orders.ok and orders.document:
            await self._ask(account, "GET", "/orders/{id}", id=self._draw.choice(orders.document)["id"])
        await self._ask(account, "GET", "/notifications", query="limit=10")

    async def _log_in(self, account: _Account) -> None:
        body = {"username": account.username, "password": account.password}
        answer = await self._client.ask("POST", "/auth/login", body=body)
        if answer.ok:
            self._accounts[account.username] = account._replace(token=answer.document["token"])
            await self._ask(account, "GET", "/auth/validate")
        elif answer.status == 401:  # the shop was reset
            self._accounts.pop(account.username, None)

    async def _err(self, account: _Account) -> None:
        """Do something that the shop has to refuse."""
        ask, draw = self._ask, self._draw
        silly: tuple[Callable[[], Awaitable[Answer]], ...] = (
            lambda: ask(account, "GET", "/products/{id}", id=_NO_SUCH_ID),
            lambda: ask(account, "GET", "/orders/{id}", id=_NO_SUCH_ID),
            lambda: ask(account, "POST", "/orders", body={"items": []}),
            lambda: ask(account, "POST", "/orders", body={"items": [{"product_id": _NO_SUCH_ID, "quantity": 1}]}),
            lambda: ask(account, "GET", "/users"),
            lambda: self._client.ask("GET", "/orders/my-orders", token=_NO_TOKEN),
        )
        await draw.choice(silly)()

    async def _choose(self, account: _Account) -> dict[str, Any] | None:
        """Look at the list of products and return one; None if there is nothing to see."""
        listed = await self._ask(account, "GET", "/products", query=f"limit={_LOOKED_AT}")
        return self._draw.choice(listed.document) if listed.ok and listed.document else None

    async def _ask(self, account: _Account, method: str, route: str, **request: Any) -> Answer:
        answer = await self._client.ask(method, route, token=account.token, **request)
        if answer.status == 401:
            self._accounts.pop(account.username, None)
        await asyncio.sleep(self._draw.uniform(*_THINKING))
        return answer
