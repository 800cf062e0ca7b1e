"""What clients of the product service, and the order service, send and get."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Final

from pydantic import BaseModel, Field, StringConstraints, TypeAdapter

from cloudcart.events import Money
from cloudcart.services.answers import PlainText

_LARGEST: Final = 2**31 - 1

Name = Annotated[PlainText, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Category = Annotated[PlainText, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Description = Annotated[PlainText, StringConstraints(max_length=10_000)]
ImageUrl = Annotated[PlainText, StringConstraints(max_length=500, pattern=r"^(https?://|data:image/|/)")]
Price = Annotated[Decimal, Field(ge=0, le=Decimal("99999999.99"), decimal_places=2, allow_inf_nan=False)]
StockCount = Annotated[int, Field(ge=0, le=_LARGEST, strict=True)]
ProductId = Annotated[int, Field(ge=1, le=_LARGEST)]


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
    quantity: int = Field(ge=1, le=50_000)


class StockRequest(BaseModel):
    """The order service takes the stock of an order; ``epoch`` is explained in ``services.products.holds``."""

    order_id: ProductId
    items: list[Line] = Field(min_length=1, max_length=50)
    epoch: int = Field(0, ge=0, le=_LARGEST)


class Lookup(BaseModel):
    """The order service asks for names and prices."""

    ids: list[ProductId] = Field(min_length=1, max_length=50)


PRODUCT_LIST: Final = TypeAdapter(list[Product])
