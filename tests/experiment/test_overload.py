"""More load than the machine bears: the run ends in time and says that it shows nothing, and why."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from cloudcart.experiment import Experiment, run
from cloudcart.load import LoadProfile
from cloudcart.signals import Objective, Verdict

RATE, SECONDS = 3_000, 3
VISITORS = 40
"""Clients at a time at most: what bounds the requests under way, whatever the rate."""


def test_a_rate_far_beyond_the_machine_is_inconclusive_with_the_reason(lab, tmp_path):
    assert ipaddress.ip_address(urlsplit(lab.urls["gateway"]).hostname).is_loopback
    load = LoadProfile(
        journey="browse", rate=RATE, duration=SECONDS, warmup=0.5, timeout=2, max_visitors=VISITORS, seed=1
    )
    finished = run(
        Experiment(name="overload", load=load, objectives=(Objective.parse("errors < 99.9%"),)), lab, folder=tmp_path
    )
    assert finished.verdict is Verdict.INCONCLUSIVE
    [reason] = [note for note in finished.record["notes"] if note.startswith("the load generator was the bottleneck: ")]
    assert f"arrivals found all {VISITORS} visitors busy" in reason
    assert reason in finished.explain()
    generator = finished.record["generator"]
    assert generator["saturated"] in reason
    assert 0 < generator["waited"] <= generator["arrivals"] <= RATE * SECONDS
    assert lab.unsteady() == [], "the shop has survived it"
