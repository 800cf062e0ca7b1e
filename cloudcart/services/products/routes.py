"""The HTTP routes of the product service: everybody reads, administrators write, the order service takes stock."""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from prometheus_client import Counter
from pydantic import StringConstraints
from pydantic_core import to_json
from starlette.responses import Response

from cloudcart.services.answers import Id, Page, PageWanted, PlainText, json_answer, page_answer
from cloudcart.services.products.catalogue import Catalogue
from cloudcart.services.products.models import (
    Lookup,
    NewProduct,
    Product,
    ProductChange,
    StockLevel,
    StockRequest,
)
from cloudcart.services.products.stock import Stock
from cloudcart.services.security import Admin
from cloudcart.stores.database import Row
from cloudcart.telemetry.metrics import Telemetry

_CATEGORIES_COUNTED: Final = 100


class Views:
    """Counts who looks at what. Categories are free text, so that only so many become label values."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._counter = Counter("product_views_total", "Product pages seen.", ["category"], registry=telemetry.registry)
        self._known: set[str] = set()

    def count(self, category: str) -> None:
        """Count one view."""
        if len(self._known) < _CATEGORIES_COUNTED:
            self._known.add(category)
        self._counter.labels(category if category in self._known else "other").inc()


async def _catalogue(request: Request) -> Catalogue:
    return request.app.state.catalogue  # type: ignore[no-any-return]


async def _stock(request: Request) -> Stock:
    return request.app.state.stock  # type: ignore[no-any-return]


async def _views(request: Request) -> Views:
    return request.app.state.views  # type: ignore[no-any-return]


OfCatalogue = Annotated[Catalogue, Depends(_catalogue)]
OfStock = Annotated[Stock, Depends(_stock)]
OfViews = Annotated[Views, Depends(_views)]
SearchText = Annotated[PlainText, StringConstraints(strip_whitespace=True, max_length=200), Query()]

products: Final = APIRouter(prefix="/products", tags=["products"])


@products.get("", response_model=list[Product])
async def list_products(
    catalogue: OfCatalogue, page: PageWanted, category: SearchText | None = None, search: SearchText | None = None
) -> Response:
    """List products, by category, or with a text in name or description."""
    return await _page_of(catalogue, page, category, search)


@products.get("/category/{category}", response_model=list[Product])
async def list_category(category: str, catalogue: OfCatalogue, page: PageWanted) -> Response:
    """List the products of a category."""
    return await _page_of(catalogue, page, category.replace("\x00", ""), None)


@products.get("/{id}", response_model=Product)
async def get_product(id: Id, catalogue: OfCatalogue, views: OfViews) -> Response:  # noqa: A002
    """Show a product."""
    row = await catalogue.get(id)
    views.count(row["category"])
    return json_answer(_product(row))


@products.post("", status_code=201, response_model=Product)
async def create_product(_admin: Admin, given: NewProduct, catalogue: OfCatalogue) -> Response:
    """Add a product."""
    return json_answer(_product(await catalogue.create(given)), 201)


@products.put("/{id}", response_model=Product)
async def update_product(id: Id, _admin: Admin, given: ProductChange, catalogue: OfCatalogue) -> Response:  # noqa: A002
    """Change a product; what is left out stays."""
    return json_answer(_product(await catalogue.update(id, given)))


@products.delete("/{id}", status_code=204)
async def delete_product(id: Id, _admin: Admin, catalogue: OfCatalogue) -> None:  # noqa: A002
    """Delete a product that no open order has."""
    await catalogue.delete(id)


@products.patch("/{id}/stock", response_model=Product)
async def set_stock(id: Id, _admin: Admin, given: StockLevel, catalogue: OfCatalogue) -> Response:  # noqa: A002
    """Set the stock to what was counted."""
    return json_answer(_product(await catalogue.set_stock(id, given.stock)))


def add_internal_routes(router: APIRouter) -> None:
    """Add what the order service calls."""

    @router.post("/products/lookup")
    async def look_up(given: Lookup, catalogue: OfCatalogue) -> Response:
        """Return names and prices; prices are text, so that they stay exact."""
        return json_answer(to_json({"products": await catalogue.lookup(given.ids)}))

    @router.post("/stock/take")
    async def take_stock(given: StockRequest, stock: OfStock) -> Response:
        """Take the stock of an order, all or none, idempotent by order."""
        await stock.take(given.order_id, given.epoch, given.items)
        return json_answer(b'{"taken":true}')


async def _page_of(catalogue: Catalogue, page: Page, category: str | None, search: str | None) -> Response:
    found = await catalogue.page(page, category, search)
    query = urlencode({name: value for name, value in (("category", category), ("search", search)) if value})
    return page_answer(found.body, found.total, page, query)


def _product(row: Row) -> bytes:
    return Product.model_validate(row).model_dump_json().encode()
