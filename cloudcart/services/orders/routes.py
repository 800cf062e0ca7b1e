"""The HTTP routes of the order service. Somebody else's order does not exist: 404."""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Header, Query, Request
from pydantic_core import to_json
from starlette.responses import Response

from cloudcart.exceptions import RefusedError
from cloudcart.services.answers import Id, PageWanted, json_answer, list_answer
from cloudcart.services.orders.idempotency import Answer, RequestKey
from cloudcart.services.orders.models import ORDER_LIST, Move, NewOrder, OpenOrders, Order, Payment, Settlement
from cloudcart.services.orders.moving import Moving
from cloudcart.services.orders.ordering import Ordering
from cloudcart.services.orders.states import Status, may_move
from cloudcart.services.security import Admin, CurrentUser, Principal
from cloudcart.stores.database import Row


async def _ordering(request: Request) -> Ordering:
    return request.app.state.ordering  # type: ignore[no-any-return]


async def _moving(request: Request) -> Moving:
    return request.app.state.moving  # type: ignore[no-any-return]


OfOrdering = Annotated[Ordering, Depends(_ordering)]
OfMoving = Annotated[Moving, Depends(_moving)]
KeyHeader = Annotated[str | None, Header(alias="idempotency-key", min_length=1, max_length=255)]

orders: Final = APIRouter(prefix="/orders", tags=["orders"])


@orders.post("", status_code=201, response_model=Order)
async def create_order(
    user: CurrentUser, given: NewOrder, ordering: OfOrdering, idempotency_key: KeyHeader = None
) -> Response:
    """Order something; prices are those of the catalogue."""
    key = RequestKey.of(user.user_id, "create", idempotency_key, given.model_dump_json())
    return _response(await ordering.create(user.user_id, given, key))


@orders.get("", response_model=list[Order])
async def list_orders(
    _admin: Admin,
    ordering: OfOrdering,
    page: PageWanted,
    status: Status | None = None,
    user_id: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
) -> Response:
    """List everybody's orders, newest first."""
    rows, total = await ordering.page(page, user_id, status)
    query = urlencode({name: value for name, value in (("status", status), ("user_id", user_id)) if value})
    return list_answer(ORDER_LIST, rows, total, page, query)


@orders.get("/my-orders", response_model=list[Order])
async def list_my_orders(user: CurrentUser, ordering: OfOrdering, page: PageWanted) -> Response:
    """List one's own orders, newest first."""
    rows, total = await ordering.page(page, user.user_id, None)
    return list_answer(ORDER_LIST, rows, total, page)


@orders.get("/{id}", response_model=Order)
async def get_order(id: Id, user: CurrentUser, ordering: OfOrdering) -> Response:  # noqa: A002
    """Show an order."""
    return json_answer(Order.model_validate(await _visible(ordering, id, user)).model_dump_json().encode())


@orders.patch("/{id}/status", response_model=Order)
async def move_order(
    id: Id,  # noqa: A002
    user: CurrentUser,
    given: Move,
    ordering: OfOrdering,
    moving: OfMoving,
) -> Response:
    """Move an order through its life; owners may only cancel."""
    order = await _visible(ordering, id, user)
    if not may_move(given.status, is_admin=user.is_admin):
        raise RefusedError(403, "only an administrator may do this; you may cancel")
    return _response(await moving.move(order, given.status, user.user_id))


@orders.post("/{id}/pay", response_model=Order)
async def pay_order(
    id: Id,  # noqa: A002
    user: CurrentUser,
    given: Payment,
    ordering: OfOrdering,
    moving: OfMoving,
    idempotency_key: KeyHeader = None,
) -> Response:
    """Pay one's own order, once."""
    order = await _visible(ordering, id, user)
    if order["user_id"] != user.user_id:
        raise RefusedError(403, "only the buyer may pay; an administrator may confirm the order instead")
    key = RequestKey.of(user.user_id, f"pay:{id}", idempotency_key, given.model_dump_json())
    return _response(await moving.pay(order, given.payment_method, key))


def add_internal_routes(router: APIRouter) -> None:
    """Add what the product service calls."""

    @router.post("/orders/open")
    async def count_open(given: OpenOrders, ordering: OfOrdering) -> dict[str, int]:
        """Return how many open orders have a product."""
        return {"count": await ordering.count_open(given.product_id)}

    @router.post("/orders/settle")
    async def settle(given: Settlement, moving: OfMoving) -> Response:
        """Give up unfinished confirmations, and say where these orders are."""
        return json_answer(to_json({"orders": await moving.give_up(given.order_ids)}))


async def _visible(ordering: Ordering, order_id: int, user: Principal) -> Row:
    order = await ordering.get(order_id)
    if order["user_id"] != user.user_id and not user.is_admin:
        raise RefusedError(404, "there is no such order")
    return order


def _response(answer: Answer) -> Response:
    return json_answer(answer.body, answer.status)
