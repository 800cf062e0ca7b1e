"""The product service's calls to the order service; neither is in the path of a customer's request.

Used when an administrator deletes a product and by the sweep of stock that nobody bought.
"""

from __future__ import annotations

import json
from typing import Any, Final

from cloudcart.exceptions import UpstreamUnavailableError
from cloudcart.services.service import Service

_TIME_LIMIT: Final = 2.0


class OrdersClient:
    """Asks the order service.

    Args:
        service: whose HTTP client, token and addresses are used.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    async def open_orders(self, product_id: int) -> int:
        """Return how many open orders have a product."""
        answer = await self._post("/internal/orders/open", {"product_id": product_id})
        return int(answer["count"])

    async def settle(self, order_ids: list[int]) -> dict[int, dict[str, Any]]:
        """Give up unfinished confirmations of these orders; return their status and epoch by order id."""
        answer = await self._post("/internal/orders/settle", {"order_ids": order_ids})
        return {each["order_id"]: each for each in answer["orders"]}

    async def _post(self, path: str, document: dict[str, object]) -> dict[str, Any]:
        response = await self._service.http.request(
            "POST",
            self._service.settings.urls.orders,
            path,
            headers=[self._service.tokens.header(), (b"content-type", b"application/json")],
            body=json.dumps(document).encode(),
            timeout=_TIME_LIMIT,
        )
        if response.status != 200:
            raise UpstreamUnavailableError(f"the order service answered {response.status}; try again shortly")
        return response.json()  # type: ignore[no-any-return]
