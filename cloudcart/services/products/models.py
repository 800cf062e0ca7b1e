"""What clients of the product service, and the order service, send and get."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, Field, StringConstraints, TypeAdapter, WithJsonSchema

from cloudcart.events import Money
from cloudcart.services.answers import NOT_BLANK, WHOLE, PlainText

_LARGEST: Final = 2**31 - 1
_MONEY: Final = r"[0-9]{1,8}(\.[0-9]{1,2})?"

Name = Annotated[
    PlainText,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
    Field(json_schema_extra=NOT_BLANK),
]
Category = Annotated[
    PlainText,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=100),
    Field(json_schema_extra=NOT_BLANK),
]
Description = Annotated[PlainText, StringConstraints(max_length=10_000)]
ImageUrl = Annotated[
    PlainText,
    StringConstraints(max_length=500, pattern=r"^(https?://|data:image/|/)"),
    Field(json_schema_extra={"pattern": r"^(https?://|data:image/|/)[^\x00]*$"}),
]


def _is_written_plainly(value: Any) -> Any:
    if isinstance(value, str) and not re.fullmatch(_MONEY, value):
        raise ValueError("must be a number with at most two decimals")
    return value


Price = Annotated[
    Decimal,
    BeforeValidator(_is_written_plainly),
    Field(ge=0, le=Decimal("99999999.99"), decimal_places=2, allow_inf_nan=False),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": 99_999_999.99, "multipleOf": 0.01},
                {"type": "string", "pattern": f"^{_MONEY}$"},
            ]
        },
        mode="validation",
    ),
]
StockCount = Annotated[int, Field(ge=0, le=_LARGEST), WHOLE]
ProductId = Annotated[int, Field(ge=1, le=_LARGEST), WHOLE]


class Product(BaseModel):
    """A product as clients see it."""

    id: int
    name: str
    description: str
    price: Money
    stock: int
    category: str
    image_url: str | None
    created_at: datetime
    updated_at: datetime


class NewProduct(BaseModel):
    """An administrator adds a product."""

    name: Name
    description: Description = ""
    price: Price
    stock: StockCount = 0
    category: Category
    image_url: ImageUrl | None = None


class ProductChange(BaseModel):
    """What may be changed of a product; what is left out stays."""

    name: Name | None = None
    description: Description | None = None
    price: Price | None = None
    stock: StockCount | None = None
    category: Category | None = None
    image_url: ImageUrl | None = None


class StockLevel(BaseModel):
    """An administrator counts the stock."""

    stock: StockCount


class Line(BaseModel):
    """So many pieces of a product."""

    product_id: ProductId
    quantity: Annotated[int, Field(ge=1, le=50_000), WHOLE]


class StockRequest(BaseModel):
    """The order service takes the stock of an order; ``epoch`` is explained in ``services.products.holds``."""

    order_id: ProductId
    items: list[Line] = Field(min_length=1, max_length=50)
    epoch: Annotated[int, Field(ge=0, le=_LARGEST), WHOLE] = 0


class Lookup(BaseModel):
    """The order service asks for names and prices."""

    ids: list[ProductId] = Field(min_length=1, max_length=50)


PRODUCT_LIST: Final = TypeAdapter(list[Product])
