"""The arms of a run: told apart by visit, compared at the same time, right as often as promised."""

from __future__ import annotations

import random

import pytest

from cloudcart.exceptions import FaultError, UsageError
from cloudcart.experiment import Experiment, ScheduledFault, experiment_from_markers
from cloudcart.experiment.arms import compare_arms, split
from cloudcart.faults import parse_fault
from cloudcart.faults.control_arm import in_control_arm
from cloudcart.load import LoadProfile
from cloudcart.signals import Window

WINDOW = Window(0.0, 1e9, "fault")
SHARE = 0.3


def rows(visits: int, *, seed: int, delay: float, probability: float = 0.2) -> dict:
    """Visits of three requests; those that are not spared wait longer now and then."""
    chance = random.Random(seed)
    found = {name: [] for name in ("due", "sent", "done", "name", "status", "key")}
    for visit in range(visits):
        base = 0.02 * chance.lognormvariate(0, 0.4)  # requests of one visit are alike
        spared = in_control_arm(f"browse/{visit}/1", SHARE)
        for step in range(1, 4):
            latency = base * chance.uniform(0.8, 1.2)
            if not spared and chance.random() < probability:
                latency += delay
            found["due"].append(float(visit))
            found["sent"].append(float(visit))
            found["done"].append(visit + latency)
            found["name"].append("GET /api/products")
            found["status"].append(200)
            found["key"].append(f"browse/{visit}/{step}")
    return found


def test_every_row_is_in_one_arm_and_visits_stay_whole():
    spared, exposed = split(rows(500, seed=1, delay=0.0), SHARE)
    visits = [{key.rpartition("/")[0] for key in arm["key"]} for arm in (spared, exposed)]
    assert len(spared["key"]) + len(exposed["key"]) == 1500
    assert visits[0].isdisjoint(visits[1])
    assert 0.2 < len(visits[0]) / 500 < 0.4


def test_a_small_effect_is_found_with_an_interval_that_holds_it():
    found = {one.before.signal: one for one in compare_arms(rows(800, seed=2, delay=0.05), WINDOW, SHARE)}
    mean = found["mean"]
    assert mean.low <= 0.2 * 0.05 <= mean.high
    assert (mean.word, found["errors"].word) == ("worse", "no difference shown")
    assert mean.before.samples + mean.after.samples == 800  # visits, not requests


def test_nothing_is_found_where_there_is_nothing():
    """Requests of a visit are alike: taken as independent, far more than 5 % of these intervals would miss zero."""
    alarms = sum(compare_arms(rows(200, seed=seed, delay=0.0), WINDOW, SHARE)[0].shown for seed in range(120))
    assert alarms <= 13  # 5 % of 120 is 6; chance adds three standard deviations


def markers(**options):
    fault = {"target": "products", "fixed": "10ms", "start": "5s", **options}
    return [
        pytest.mark.cloudcart_load("browse", rate=10, duration="20s", control=0.2).mark,
        pytest.mark.cloudcart_fault("latency", **fault).mark,
    ]


def test_the_share_is_given_with_the_load_and_reaches_every_fault():
    experiment = experiment_from_markers("x", "claim", markers())
    assert experiment.control_share == 0.2
    assert experiment.seeded(experiment.faults[0].fault).control == 0.2


def test_faults_that_spare_different_visits_are_refused():
    faults = tuple(
        ScheduledFault(fault=parse_fault({"kind": "latency", "target": "products", "fixed": "1ms", "control": share}))
        for share in (0.1, 0.2)
    )
    with pytest.raises(UsageError, match="spare the same visits"):
        Experiment(name="x", load=LoadProfile(journey="browse", rate=1, duration="20s"), faults=faults)


def test_a_fault_that_knows_no_visits_cannot_have_a_control_arm():
    fault = parse_fault({"kind": "kill", "target": "orders"})
    load = LoadProfile(journey="browse", rate=1, duration="20s")
    with pytest.raises(FaultError, match="leave out control"):
        Experiment(name="x", load=load, faults=(ScheduledFault(fault=fault),), control=0.2)
