"""What clients of the order service send and get. A price that a client sends is ignored."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from pydantic import BaseModel, Field, StringConstraints, TypeAdapter

from cloudcart.events import Money
from cloudcart.services.answers import WHOLE
from cloudcart.services.orders.states import Status

_LARGEST: Final = 2**31 - 1

ProductId = Annotated[int, Field(ge=1, le=_LARGEST), WHOLE]


class NewLine(BaseModel):
    """So many pieces of a product."""

    product_id: ProductId
    quantity: Annotated[int, Field(ge=1, le=1_000), WHOLE]


class NewOrder(BaseModel):
    """Somebody orders."""

    items: list[NewLine] = Field(min_length=1, max_length=50)


class Payment(BaseModel):
    """The owner pays."""

    payment_method: Annotated[
        str,
        StringConstraints(
            strip_whitespace=True,
            min_length=1,
            max_length=50,
            pattern=r"^[\w.-]([\w .-]*[\w.-])?$",
        ),
    ]


class Move(BaseModel):
    """An order is to get another status."""

    status: Status


class Item(BaseModel):
    """A line of an order, with the name and price of the day."""

    id: int
    order_id: int
    product_id: int
    product_name: str
    quantity: int
    price: Money
    created_at: datetime


class Order(BaseModel):
    """An order as clients see it."""

    id: int
    user_id: int
    total_amount: Money
    status: Status
    created_at: datetime
    updated_at: datetime
    items: list[Item]


class OpenOrders(BaseModel):
    """The product service asks how many open orders have a product."""

    product_id: ProductId


class Settlement(BaseModel):
    """The product service asks which orders were never confirmed."""

    order_ids: list[ProductId] = Field(min_length=1, max_length=1_000)


ORDER_LIST: Final = TypeAdapter(list[Order])
