"""Each shipped scenario fails when its protection is switched off: so its pass means something.

Not named ``test_*``, since it takes minutes: ``nox -s scenarios`` runs it by name after the scenarios themselves.
"""

from __future__ import annotations

import pytest

import cloudcart
from cloudcart import Verdict
from cloudcart.experiment import find_scenario, list_scenarios, load_scenario, run, run_scenario

CONTROL = "control_no_fault_no_alarm"
OFF = {
    "orders_survive_errors_and_latency": {"gateway.retries": "off", "orders.retries": "off"},
    "slow_products_do_not_take_the_gateway_down": {
        "gateway.bulkhead": "off",
        "gateway.timeouts": "off",
        "gateway.circuit_breaker": "off",
        "gateway.cache": "off",
    },
    "consumer_lag_grows_and_drains": {"orders.notify": "direct"},
}


def test_every_scenario_names_its_protection():
    assert {file.stem.removeprefix("test_") for file in list_scenarios()} == {*OFF, CONTROL}


@pytest.mark.parametrize("name", OFF)
def test_the_scenario_fails_without_its_protection(name, tmp_path):
    finished = run_scenario(name, settings=OFF[name], folder=tmp_path)
    assert finished.verdict is Verdict.FAIL, finished.explain()


def test_the_control_notices_a_fault_that_nobody_declared(tmp_path):
    experiment = load_scenario(find_scenario(CONTROL))
    with cloudcart.start(overrides=experiment.lab_settings) as lab:
        undeclared = []

        def sabotage(progress):
            if progress.phase == "steady" and not undeclared:
                undeclared.append(lab.inject("latency", target="products", fixed="700ms", ttl="60s"))

        finished = run(experiment, lab, folder=tmp_path, watcher=sabotage)
    assert finished.verdict is Verdict.FAIL, finished.explain()
