"""The cache of lists: fresh, stale, outdated by changes, bounded."""

from __future__ import annotations

from cloudcart.services.gateway.cache import ListCache
from cloudcart.services.http_connection import Response


def answer(body: bytes = b"[]") -> Response:
    return Response(200, [], body)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_answer_is_fresh_for_its_time_and_then_only_stale() -> None:
    clock = Clock()
    cache = ListCache(1.0, clock=clock)
    cache.put("/products", answer(), cache.generation)
    clock.now = 0.99
    assert cache.fresh("/products") == answer()
    clock.now = 1.0
    assert cache.fresh("/products") is None
    assert cache.stale("/products") == (answer(), 1.0)
    assert cache.fresh("/products?limit=1") is cache.stale("/products?limit=1") is None


def test_a_change_of_products_ends_freshness_also_for_a_call_under_way() -> None:
    cache = ListCache(1.0, clock=Clock())
    before = cache.generation
    cache.put("/products", answer(), before)
    cache.expire()
    assert cache.fresh("/products") is None
    cache.put("/products", answer(), before)
    assert cache.fresh("/products") is None
    cache.put("/products", answer(), cache.generation)
    assert cache.fresh("/products") == answer()


def test_it_is_bounded_in_number_and_bytes() -> None:
    cache = ListCache(1.0, clock=Clock())
    for number in range(1500):
        cache.put(f"/products?offset={number}", answer(), cache.generation)
    assert cache.stale("/products?offset=499") is None
    assert cache.stale("/products?offset=500") is not None
    large = answer(bytes(3 * 1024 * 1024))
    for number in range(10):
        cache.put(f"/products?limit={number}", large, cache.generation)
    kept = [number for number in range(10) if cache.stale(f"/products?limit={number}")]
    assert kept == [5, 6, 7, 8, 9]


def test_cleared_it_knows_nothing() -> None:
    cache = ListCache(1.0, clock=Clock())
    cache.put("/products", answer(), cache.generation)
    cache.clear()
    assert cache.stale("/products") is None
