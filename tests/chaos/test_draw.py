"""Draws depend on seed, fault and request alone: uniform, independent, the same in every version."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcart.chaos.draw import NUMBERS, Draws, number, uniform

KEYS = [f"checkout/{n}/2" for n in range(2000)]


@given(st.integers(min_value=0), st.binary(max_size=16), st.text(), st.integers(0, NUMBERS - 1))
def test_a_number_lies_in_the_half_open_unit_interval_and_depends_on_nothing_else(
    seed: int, identity: bytes, key: str, index: int
) -> None:
    drawn = uniform(seed, identity, key, index)
    assert 0.0 <= drawn < 1.0
    assert drawn == uniform(seed, identity, key, index)


@given(st.integers(0, 2**64), st.binary(min_size=8, max_size=8), st.integers(0, NUMBERS - 1))
def test_numbers_are_uniform(seed: int, identity: bytes, index: int) -> None:
    draws = Draws(seed, identity)
    drawn = sorted(number(draws.digest(key), index) for key in KEYS)
    distance = max(abs(value - rank / len(drawn)) for rank, value in enumerate(drawn))
    assert distance < 3.0 / math.sqrt(len(drawn))  # Kolmogorov-Smirnov; chance of a false alarm below 1e-7


@given(st.integers(0, 2**32), st.floats(0.01, 0.99))
def test_the_share_of_hits_is_the_probability(seed: int, probability: float) -> None:
    draws = Draws(seed, b"identity")
    hits = sum(number(draws.digest(key), 0) < probability for key in KEYS)
    bound = 5.5 * math.sqrt(probability * (1 - probability) / len(KEYS))
    assert abs(hits / len(KEYS) - probability) <= bound + 1 / len(KEYS)


def test_seed_identity_ordinal_and_index_each_make_other_numbers() -> None:
    digests = {
        Draws(7, b"a").digest("k"),
        Draws(8, b"a").digest("k"),
        Draws(7, b"b").digest("k"),
        Draws(7, b"a", 1).digest("k"),
        Draws(7, b"a").digest("l"),
    }
    assert len(digests) == 5
    assert len({number(Draws(7, b"a").digest("k"), index) for index in range(NUMBERS)}) == NUMBERS


def test_two_faults_draw_independently() -> None:
    first, second = Draws(7, b"a"), Draws(7, b"a", 1)
    both = sum(number(first.digest(k), 0) < 0.5 and number(second.digest(k), 0) < 0.5 for k in KEYS)
    assert abs(both / len(KEYS) - 0.25) < 0.05


@pytest.mark.parametrize("index", [-1, NUMBERS])
def test_there_are_eight_numbers(index: int) -> None:
    with pytest.raises(IndexError, match="numbers 0 to 7"):
        uniform(0, b"", "", index)


def test_a_draw_is_the_same_in_every_version() -> None:
    """Recorded runs stay repeatable: this value must never change."""
    assert uniform(7, b"identity", "checkout/1/2", 0) == 0.5825169693518831
