"""Each shipped scenario fails when its protection is switched off: so its pass means something.

Each proof names what must fail, an objective or an invariant of the scenario, so that another failure proves nothing. A
run ends as soon as that objective cannot hold any more. Not named ``test_*``, since it takes minutes: ``nox -s
scenarios`` runs it by name after the scenarios themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

import cloudcart
from cloudcart import Experiment, Lab, Run, Verdict
from cloudcart.experiment import Progress, find_scenario, list_scenarios, load_scenario, run


class Proof(NamedTuple):
    """What is switched off, and what must fail then: an objective by its text, or an invariant by its name."""

    switched_off: Mapping[str, str]
    fails: str


CONTROL = "control_no_fault_no_alarm"
LEAK = "memory_leak_shows_before_users_feel_it"
DEPLOY = "bad_deploy_pages_within_a_minute"
OFF: Final = {
    "admin_dashboard_works_under_chaos": Proof({"gateway.retries": "off"}, "errors < 5%"),
    "catalogue_outlives_postgresql": Proof({"gateway.cache": "off"}, "errors < 10%"),
    "consumer_lag_grows_and_drains": Proof({"orders.notify": "direct"}, "p95 < 250ms"),
    "greedy_client_harms_nobody_else": Proof({"gateway.rate_limit": "off"}, "p95 < 1500ms"),
    "killed_order_service_charges_nobody_twice": Proof({"orders.charge_once": "off"}, "every paid order was paid once"),
    "one_slow_replica_is_avoided": Proof({"gateway.outlier_ejection": "off"}, "p90 < 500ms"),
    "orders_survive_errors_and_latency": Proof({"gateway.retries": "off", "orders.retries": "off"}, "errors < 2%"),
    "paused_broker_loses_no_event": Proof({"stores.outbox": "off"}, "p95 < 500ms"),
    "poison_message_does_not_stop_the_others": Proof({"notifications.dead_letters": "off"}, "lag_end < 60"),
    "retry_budget_holds_in_a_retry_storm": Proof({"gateway.retry_budget": "1"}, "traffic < 40/s"),
    "rush_for_the_last_items_oversells_nothing": Proof({"products.atomic_stock": "off"}, "stock adds up"),
    "shop_goes_on_without_redis": Proof({"gateway.rate_limit_fallback": "off"}, "errors < 2%"),
    "slow_products_do_not_take_the_gateway_down": Proof(
        {
            "gateway.bulkhead": "off",
            "gateway.timeouts": "off",
            "gateway.circuit_breaker": "off",
            "gateway.cache": "off",
        },
        "p95 < 500ms",
    ),
}
BEFORE: Final = 1.0
"""Seconds of load between the warm-up and the first fault: a proof shows what it shows while faults act .."""
AFTERWARDS: Final = 1.0
""".. and so many after the last one."""
ATTEMPTS: Final = 2
"""A run without a verdict, as on a machine that is too busy, proves nothing, and is done once more."""


def test_every_scenario_names_its_protection():
    assert {file.stem.removeprefix("test_") for file in list_scenarios()} == {*OFF, CONTROL, LEAK, DEPLOY}


@pytest.fixture(scope="module")
def lab_with() -> Iterator[Callable[[dict[str, str]], Lab]]:
    """A lab with just these settings: the one of the proof before, if it had the same."""
    with ExitStack() as started:
        running: dict[str, Any] = {}

        def lab(settings: dict[str, str]) -> Lab:
            if running.get("settings") != settings:
                started.close()
                running.update(settings=settings, lab=started.enter_context(cloudcart.start(overrides=settings)))
            found: Lab = running["lab"]
            return found

        yield lab


@pytest.fixture
def prove(lab_with, tmp_path: Path) -> Callable[..., None]:
    def prove(experiment: Experiment, fails: str, **sabotage: Callable[[Lab], None]) -> None:
        """Run a scenario in which ``fails`` is to fail; at the beginning of a phase its sabotage is done to the lab."""
        lab, claim = lab_with(experiment.lab_settings), only(shortened(experiment), fails)
        for _ in range(ATTEMPTS):
            left = dict(sabotage)

            def watcher(progress: Progress, left: dict[str, Callable[[Lab], None]] = left) -> None:
                left.pop(progress.phase, lambda _lab: None)(lab)

            finished = run(claim, lab, folder=tmp_path, watcher=watcher, fail_fast=True)
            if finished.verdict is not Verdict.INCONCLUSIVE:
                break
        assert finished.verdict is Verdict.FAIL, finished.explain()
        assert verdicts(finished, fails) == {"fail"}, f"not {fails!r}:\n{finished.explain()}"

    return prove


@pytest.mark.parametrize("name", OFF)
def test_the_scenario_fails_without_its_protection(name, prove):
    prove(load_scenario(find_scenario(name), settings=OFF[name].switched_off), OFF[name].fails)


@pytest.mark.parametrize("name", [CONTROL, LEAK])
def test_what_users_would_feel_is_not_overlooked(name, prove):
    def slow_products(lab):
        lab.inject("latency", target="products", fixed="700ms", ttl="60s")

    prove(load_scenario(find_scenario(name)), "p95 < 500ms", warmup=slow_products)


def test_a_leak_that_is_not_there_is_not_seen(prove):
    prove(load_scenario(find_scenario(LEAK)), "memory_growth > 30MB", fault=Lab.heal)


def test_without_a_bad_release_nobody_is_paged(prove):
    prove(load_scenario(find_scenario(DEPLOY)).model_copy(update={"faults": ()}), "alert < 10s")


def only(experiment: Experiment, fails: str) -> Experiment:
    """Return the scenario with no other objectives than the one that is to fail, so that no other ends it early."""
    named = tuple(objective for objective in experiment.objectives if objective.text == fails)
    return experiment.model_copy(update={"objectives": named})


def verdicts(finished: Run, name: str) -> set[str]:
    """Return the verdicts on an objective or an invariant; where several objectives have the same text, on each."""
    found = {(it["objective"], it["verdict"]) for it in finished.record["objectives"]}
    found |= {(it["name"], it["verdict"]) for it in finished.record["invariants"]}
    return {verdict for text, verdict in found if text == name}


def shortened(experiment: Experiment) -> Experiment:
    """Return the scenario with its faults brought forward and without most of what comes after the last of them."""
    if experiment.load is None or not experiment.faults:
        return experiment
    early = min(scheduled.start for scheduled in experiment.faults) - experiment.load.warmup - BEFORE
    faults = tuple(item.model_copy(update={"start": item.start - early}) for item in experiment.faults)
    end = max(scheduled.end for scheduled in faults) + AFTERWARDS
    load = experiment.load.model_copy(update={"duration": end})
    return experiment.model_copy(update={"faults": faults, "load": load})
