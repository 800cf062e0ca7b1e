"""Shapes that the shop's answers share: JSON made by pydantic in one go, pages of lists, values that requests carry.

Used by the routes of the services with a database. Not here: errors (``problems``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final, NamedTuple

from fastapi import Depends, Path, Query
from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter
from starlette.responses import Response

_LARGEST_INTEGER: Final = 2**31 - 1  # of PostgreSQL's type integer


def _without_nul(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not contain the character NUL")  # PostgreSQL cannot keep it
    return text


PlainText = Annotated[str, AfterValidator(_without_nul), Field(json_schema_extra={"pattern": r"^[^\x00]*$"})]
"""Text that can be stored."""

NOT_BLANK: Final = {"pattern": r"^[^\x00]*[^\s\x00][^\x00]*$"}
"""What JSON Schema says of text of which something must be left when the white space around it is gone."""


def _is_number(value: Any) -> Any:
    if isinstance(value, bool | str):
        raise ValueError("must be a whole number")
    return value


WHOLE: Final = BeforeValidator(_is_number)
"""Goes behind an ``int`` and its bounds: what JSON Schema calls an integer, 44 and 44.0, not "44" and not true."""

Id = Annotated[int, Path(ge=1, le=_LARGEST_INTEGER)]
"""The id of something, in a path."""


class Page(NamedTuple):
    """Which part of a list is wanted."""

    limit: int
    offset: int


async def _page(
    limit: Annotated[int, Query(ge=1, le=500, description="entries at most")] = 100,
    offset: Annotated[int, Query(ge=0, le=_LARGEST_INTEGER, description="entries to leave out first")] = 0,
) -> Page:
    return Page(limit, offset)


PageWanted = Annotated[Page, Depends(_page)]


def json_answer(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return an answer whose JSON is made already."""
    return Response(body, status, headers, "application/json")


def list_answer(adapter: TypeAdapter[Any], rows: list[Any], total: int, page: Page, query: str = "") -> Response:
    """Return one page of a list with ``X-Total-Count`` and ``Link`` (RFC 8288).

    Args:
        adapter: of the list's type.
        rows: the entries of this page.
        total: how many entries there are in all.
        page: which page this is.
        query: the request's other parameters, percent-encoded, so that links keep them.
    """
    return page_answer(list_json(adapter, rows), total, page, query)


def list_json(adapter: TypeAdapter[Any], rows: list[Any]) -> bytes:
    """Return the entries of a list as JSON; ``adapter`` is of the list's type."""
    return adapter.dump_json(adapter.validate_python(rows))


def page_answer(body: bytes, total: int, page: Page, query: str = "") -> Response:
    """Return what :func:`list_answer` does, of a page whose JSON is made already."""
    headers = {"x-total-count": str(total)}
    if links := ", ".join(_links(page, total, query)):
        headers["link"] = links
    return json_answer(body, headers=headers)


def _links(page: Page, total: int, query: str) -> Iterator[str]:
    """Yield links relative to the address that the client used, which the gateway changed: a query keeps the path."""
    prefix = f"{query}&" if query else ""
    limit, offset = page
    last = max(0, (total - 1) // limit * limit)
    places = {"first": 0, "prev": max(0, offset - limit), "next": offset + limit, "last": last}
    if offset == 0:
        del places["first"], places["prev"]
    if offset + limit >= total:
        del places["next"], places["last"]
    for relation, place in places.items():
        yield f'<?{prefix}limit={limit}&offset={place}>; rel="{relation}"'
