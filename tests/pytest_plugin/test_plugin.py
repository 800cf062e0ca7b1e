"""The plugin as its users meet it: small test files run by a pytest of their own."""

from __future__ import annotations

import pytest


def test_markers_and_options_are_listed(pytester):
    pytester.runpytest_subprocess("--markers").stdout.fnmatch_lines(["@pytest.mark.cloudcart_slo*"])
    pytester.runpytest_subprocess("--help").stdout.fnmatch_lines(["*--cloudcart-report-dir*"])


def test_the_fixtures_give_a_running_shop(run_pytest):
    run_pytest(
        """
        def test_browse(cloudcart_client, cloudcart_lab):
            products = cloudcart_client.get("/api/products")
            assert products.status_code == 200
            assert len(products.json()) >= 20

        def test_events(cloudcart_client, cloudcart_events):
            product = cloudcart_client.get("/api/products").json()[0]
            order = {"items": [{"product_id": product["id"], "quantity": 1}]}
            created = cloudcart_client.post("/api/orders", json=order)
            assert created.status_code == 201
            assert cloudcart_events.wait_for("order.created")[0].order_id == created.json()["id"]

        def test_invariants(cloudcart_client, cloudcart_invariants):
            order = {"items": [{"product_id": 1, "quantity": 1}]}
            order_id = cloudcart_client.post("/api/orders", json=order).json()["id"]
            cloudcart_client.post(f"/api/orders/{order_id}/pay", json={"payment_method": "card"}).raise_for_status()
            found = cloudcart_invariants()
            assert found.passed, found.explain()
            assert found.explain().startswith("pass         stock adds up: ")
        """
    ).assert_outcomes(passed=3)


def test_faults_and_data_of_one_test_are_gone_in_the_next(run_pytest):
    run_pytest(
        """
        def test_break_it(cloudcart_client, cloudcart_lab):
            cloudcart_lab.inject("error", target="products", status=503)
            answers = {cloudcart_client.get("/api/products/1").status_code for _ in range(5)}
            assert answers == {503}
            product = {"product_id": 2, "quantity": 1}
            assert cloudcart_client.post("/api/orders", json={"items": [product]}).status_code >= 500

        def test_as_if_nothing_had_happened(cloudcart_client, cloudcart_chaos):
            assert cloudcart_client.get("/api/products/1").status_code == 200
            assert cloudcart_client.get("/api/orders/my-orders").json() == []
            assert [fault for fault in cloudcart_chaos.faults() if fault["state"] == "active"] == []
        """
    ).assert_outcomes(passed=2)


def test_a_scenario_by_hand(run_pytest):
    """The example of the documentation, shortened."""
    run_pytest(
        """
        def test_by_hand(cloudcart_lab, cloudcart_load):
            with cloudcart_load("browse", rate=30) as load:
                load.wait("2s")
                with cloudcart_lab.inject("error", target="products", status=503, first=20, ttl="10s") as fault:
                    load.wait("3s")
            signals = cloudcart_lab.signals(fault.window)
            assert signals.errors("gateway").ratio < 0.5
            assert fault.injected == 20
        """
    ).assert_outcomes(passed=1)


SCENARIO = """
import pytest

@pytest.mark.cloudcart_load("browse", rate=20, duration="9s", warmup="1s")
@pytest.mark.cloudcart_fault("error", target="products", status=500, start="3s", duration="3s"{fault})
@pytest.mark.cloudcart_slo("errors < 5%", phase="fault")
@pytest.mark.cloudcart_settings({{"gateway.retries": "off", "gateway.cache": "off"}})
def test_products(cloudcart_run):
    '''Products may fail and nobody notices.'''
    assert cloudcart_run.passed, cloudcart_run.explain()
"""


def test_a_broken_claim_fails_and_says_what_was_read(run_pytest, pytester):
    result = run_pytest(SCENARIO.format(fault=""), "--cloudcart-seed", "3")
    result.assert_outcomes(failed=2)  # the objective, and the test
    result.stdout.fnmatch_lines(
        ["*FAIL: Products may fail and nobody notices*", "*fail*errors < 5%*", "*seed 3; report: *"]
    )
    assert len(list(pytester.path.glob("cloudcart-runs/*/report.html"))) == 1


def test_a_fault_that_hit_nothing_is_inconclusive_not_passed(run_pytest):
    result = run_pytest(SCENARIO.format(fault=", method='PATCH'"))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*INCONCLUSIVE*"])


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("cloudcart_fault('latency', target='warehouse', fixed='1s')", "*there is no 'warehouse' to aim at*"),
        ("cloudcart_fault('latency', target='products', fixed='1s', probability=2)", "*probability: *between 0 and 1*"),
        ("cloudcart_fault('error', target='products', ttl=0)", "*ttl: *"),
        ("cloudcart_slo('p99 is good')", "*p99 is good*"),
        ("cloudcart_settings({'gateway.magic': 'on'})", "*there is no setting 'gateway.magic'*"),
        ("cloudcart_load('nothing', rate=1, duration='5s')", "*nothing*"),
    ],
)
def test_nonsense_in_a_marker_is_one_clear_sentence(run_pytest, marker, message):
    load = "" if "cloudcart_load" in marker else "@pytest.mark.cloudcart_load('browse', rate=5, duration='5s')\n"
    source = f"import pytest\n{load}@pytest.mark.{marker}\ndef test_it(cloudcart_run): pass\n"
    result = run_pytest(source)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([message])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_pytest_under_gevent_is_refused(pytester):
    pytester.makeconftest("import gevent.monkey; gevent.monkey.patch_all()")
    pytester.makepyfile("def test_it(): pass")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-W", "ignore")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*gevent has patched this pytest process*"])


def test_a_setting_without_a_value_is_refused(run_pytest):
    result = run_pytest("def test_it(cloudcart_lab): pass", "--cloudcart-set", "gateway.retries")
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*write section.field=value*"])
