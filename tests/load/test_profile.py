"""A load profile means what it says, or is refused with one clear sentence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcart.exceptions import UsageError
from cloudcart.load import LoadProfile, Stage


def test_the_model_follows_from_what_is_given():
    assert LoadProfile(journey="checkout", rate=40).model == "open"
    assert LoadProfile(journey="checkout", users=5).model == "closed"
    staged = LoadProfile(journey="checkout", stages=[("10s", 5), ("500ms", 50)])
    assert staged.model == "staged"
    assert staged.stages == (Stage(10.0, 5.0), Stage(0.5, 50.0))
    assert staged.duration == 10.5
    assert staged.peak_rate == 50


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "exactly one of rate= .open., users= .closed. and stages= .staged."),
        ({"rate": 5, "users": 5}, "exactly one"),
        ({"rate": 5, "model": "closed"}, "exactly one"),
        ({"rate": 0}, "rate"),
        ({"rate": -5}, "rate"),
        ({"rate": "lots"}, "rate"),
        ({"rate": 5, "duration": "soon"}, "duration: 'soon' is not a duration; write a number and a unit"),
        ({"rate": 5, "duration": "10s", "warmup": "10s"}, "warm-up of 10s leaves nothing to measure of 10s"),
        ({"rate": 20_000, "duration": "1h"}, "arrivals in all; make it 1 to 10,000,000"),
        ({"rate": 0.1, "duration": "1s"}, "arrivals in all"),
        ({"stages": [("10s", 5)], "duration": "20s"}, "leave duration out"),
        ({"stages": [("10s", 0)]}, "0 arrivals in all"),
        ({"stages": [("never", 5)]}, "stages.0.0: 'never' is not a duration"),
        ({"stages": 7}, "stages"),
        ({"rate": 5, "arrivals": "clumped"}, "arrivals"),
        ({"rate": 5, "spead": 3}, "spead"),
    ],
)
def test_nonsense_is_refused_in_one_sentence(values, message):
    with pytest.raises(UsageError, match=message) as refused:
        LoadProfile(journey="checkout", **values)
    assert "\n" not in str(refused.value)


stages = st.lists(st.tuples(st.floats(1, 60), st.floats(1, 99)), min_size=1, max_size=4)


@given(
    st.one_of(
        st.fixed_dictionaries({"rate": st.floats(0.5, 1000), "arrivals": st.sampled_from(["constant", "poisson"])}),
        st.fixed_dictionaries({"users": st.integers(1, 500), "pacing": st.floats(0.001, 10)}),
        st.fixed_dictionaries(
            {"stages": st.lists(st.tuples(st.floats(1, 60), st.floats(1, 99)), min_size=1, max_size=4)}
        ),
    ),
    st.integers(min_value=0),
)
def test_a_profile_survives_json(values, seed):
    profile = LoadProfile(journey="browse", seed=seed, **values)
    again = LoadProfile.model_validate_json(profile.model_dump_json())
    assert again.model_dump_json() == profile.model_dump_json()
    assert again.users_needed == profile.users_needed > 0
    assert again.visitors_bound == profile.visitors_bound > 0


def test_there_are_visitors_enough_for_all_who_wait_in_vain():
    profile = LoadProfile(journey="browse", rate=100, timeout="8s")
    assert profile.visitors_bound >= 100 * 8
    assert LoadProfile(journey="browse", rate=100, max_visitors=3).visitors_bound == 3


@pytest.mark.parametrize(
    ("values", "label"),
    [
        ({"rate": 40, "duration": "20s"}, "checkout, 40 arrivals/s for 20s"),
        ({"users": 8, "duration": "1m"}, "checkout, 8 users for 60s"),
        ({"stages": [("10s", 5), ("20s", 50)]}, "checkout, 5/s for 10s, 50/s for 20s"),
    ],
)
def test_the_label_is_for_people(values, label):
    assert LoadProfile(journey="checkout", **values).label == label
