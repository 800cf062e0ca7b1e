"""Each shipped scenario fails when its protection is switched off: so its pass means something.

Not named ``test_*``, since it takes minutes: ``nox -s scenarios`` runs it by name after the scenarios themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import cloudcart
from cloudcart import Experiment, Lab, Run, Verdict
from cloudcart.experiment import Progress, find_scenario, list_scenarios, load_scenario, run

CONTROL = "control_no_fault_no_alarm"
LEAK = "memory_leak_shows_before_users_feel_it"
DEPLOY = "bad_deploy_pages_within_a_minute"
OFF = {
    "admin_dashboard_works_under_chaos": {"gateway.retries": "off"},
    "catalogue_outlives_postgresql": {"gateway.cache": "off"},
    "consumer_lag_grows_and_drains": {"orders.notify": "direct"},
    "greedy_client_harms_nobody_else": {"gateway.rate_limit": "off"},
    "killed_order_service_charges_nobody_twice": {"orders.charge_once": "off"},
    "one_slow_replica_is_avoided": {"gateway.outlier_ejection": "off"},
    "orders_survive_errors_and_latency": {"gateway.retries": "off", "orders.retries": "off"},
    "paused_broker_loses_no_event": {"stores.outbox": "off"},
    "poison_message_does_not_stop_the_others": {"notifications.dead_letters": "off"},
    "retry_budget_holds_in_a_retry_storm": {"gateway.retry_budget": "1"},
    "rush_for_the_last_items_oversells_nothing": {"products.atomic_stock": "off"},
    "shop_goes_on_without_redis": {"gateway.rate_limit_fallback": "off"},
    "slow_products_do_not_take_the_gateway_down": {
        "gateway.bulkhead": "off",
        "gateway.timeouts": "off",
        "gateway.circuit_breaker": "off",
        "gateway.cache": "off",
    },
}
AFTERWARDS = 1.0  # seconds of load after the last fault: a proof shows what it shows while faults act


def test_every_scenario_names_its_protection():
    assert {file.stem.removeprefix("test_") for file in list_scenarios()} == {*OFF, CONTROL, LEAK, DEPLOY}


@pytest.mark.parametrize("name", OFF)
def test_the_scenario_fails_without_its_protection(name, tmp_path):
    finished = prove(load_scenario(find_scenario(name), settings=OFF[name]), tmp_path)
    assert finished.verdict is Verdict.FAIL, finished.explain()


@pytest.mark.parametrize("name", [CONTROL, LEAK])
def test_what_users_would_feel_is_not_overlooked(name, tmp_path):
    def slow_products(lab):
        lab.inject("latency", target="products", fixed="700ms", ttl="60s")

    finished = prove(load_scenario(find_scenario(name)), tmp_path, warmup=slow_products)
    assert finished.verdict is Verdict.FAIL, finished.explain()


def test_a_leak_that_is_not_there_is_not_seen(tmp_path):
    finished = prove(load_scenario(find_scenario(LEAK)), tmp_path, fault=Lab.heal)
    assert finished.verdict is Verdict.FAIL, finished.explain()


def test_without_a_bad_release_nobody_is_paged(tmp_path):
    finished = prove(load_scenario(find_scenario(DEPLOY)).model_copy(update={"faults": ()}), tmp_path)
    assert finished.verdict is Verdict.FAIL, finished.explain()


def prove(experiment: Experiment, folder: Path, **sabotage: Callable[[Lab], None]) -> Run:
    """Run a scenario that is to fail; at the beginning of a phase its sabotage, if any, is done to the lab."""
    with cloudcart.start(overrides=experiment.lab_settings) as lab:

        def watcher(progress: Progress) -> None:
            sabotage.pop(progress.phase, lambda _lab: None)(lab)

        return run(without_recovery(experiment), lab, folder=folder, watcher=watcher)


def without_recovery(experiment: Experiment) -> Experiment:
    """Return the scenario without most of what comes after its last fault, which would prove nothing more."""
    if experiment.load is None or not experiment.faults:
        return experiment
    end = max(scheduled.end for scheduled in experiment.faults) + AFTERWARDS
    return experiment.model_copy(update={"load": experiment.load.model_copy(update={"duration": end})})
