"""The order service's calls to the product service: prices, and the stock of an order.

Both may be repeated: the one reads, the other is idempotent by order. Time limit and repeats are switches of the
settings. Used by ordering and by confirming.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from cloudcart.exceptions import RefusedError, UpstreamError, UpstreamTimeoutError, UpstreamUnavailableError
from cloudcart.services.http_client import Response
from cloudcart.services.service import Service

_FIRST_PAUSE: Final = 0.02  # seconds before the first repeat, at most; doubles, and is drawn between 0 and that
_PASSED_ON: Final = {502: 502, 503: 503, 504: 504}  # what the client is told of the product service's own trouble


class Priced(NamedTuple):
    """What the catalogue says of a product."""

    name: str
    price: Decimal


class ProductsClient:
    """Asks the product service.

    Args:
        service: whose HTTP client, token, addresses and settings are used.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        settings = service.settings.orders
        self._timeout = settings.timeout if settings.timeouts else None
        self._attempts = 1 + (settings.retry_attempts if settings.retries else 0)

    async def prices(self, product_ids: Sequence[int]) -> dict[int, Priced]:
        """Return name and price of those products that exist.

        Raises:
            RefusedError: 502, 503 or 504, the product service does not answer.
        """
        response = await self._post("/internal/products/lookup", {"ids": sorted(set(product_ids))})
        return {
            each["id"]: Priced(each["name"], Decimal(each["price"])) for each in json.loads(response.body)["products"]
        }

    async def take_stock(self, order_id: int, epoch: int, items: Sequence[dict[str, int]]) -> None:
        """Take the stock of an order, all or none; doing so again changes nothing.

        Raises:
            RefusedError: 409, too little stock; 502, 503 or 504, the product service does not answer.
        """
        document = {"order_id": order_id, "epoch": epoch, "items": items}
        response = await self._post("/internal/stock/take", document)
        if response.status != 200:
            problem = json.loads(response.body)
            extra = {"missing": problem["missing"]} if "missing" in problem else {}
            raise RefusedError(409, problem["error"], **extra)

    async def _post(self, path: str, document: dict[str, Any]) -> Response:
        """Return an answer that is 200 or 4xx; repeat what failed."""
        body = json.dumps(document).encode()
        failure = RefusedError(503, _sentence(503), retry_after=1)
        for attempt in range(self._attempts):
            if attempt:
                await asyncio.sleep(random.uniform(0, _FIRST_PAUSE * 2**attempt))
            try:
                response = await self._service.http.request(
                    "POST",
                    self._service.settings.urls.products,
                    path,
                    headers=[self._service.tokens.header(), (b"content-type", b"application/json")],
                    body=body,
                    timeout=self._timeout,
                    attempt=attempt,
                )
            except UpstreamError as error:
                failure = _refusal(_status_of(error))
                continue
            if response.status == 200 or response.status in (409, 422):
                return response
            failure = _refusal(_PASSED_ON.get(response.status, 502))
        raise failure


def _status_of(error: UpstreamError) -> int:
    if isinstance(error, UpstreamUnavailableError):
        return 503
    return 504 if isinstance(error, UpstreamTimeoutError) else 502


def _refusal(status: int) -> RefusedError:
    return RefusedError(status, _sentence(status), retry_after=1)


def _sentence(status: int) -> str:
    trouble = {502: "did not answer properly", 503: "is not available", 504: "took too long"}[status]
    return f"the product service {trouble}; nothing was changed, try again shortly"
