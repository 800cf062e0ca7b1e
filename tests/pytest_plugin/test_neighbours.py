"""The plugin beside others: pytest-xdist, and the plugins that come with Locust and testcontainers."""

from __future__ import annotations

import json
import re
import threading
import time

from cloudcart.pytest_plugin.options import FLAGS, LISTS, OPTIONS
from cloudcart.pytest_plugin.turn import Turn

SCENARIOS = """
import pytest

def scenario(errors):
    marks = [
        pytest.mark.cloudcart_load("browse", rate=15, duration="5s", warmup="1s"),
        pytest.mark.cloudcart_fault("error", target="products", status=500, probability=0.5, start="2s", duration="2s"),
        pytest.mark.cloudcart_slo(f"errors < {errors}", phase="fault"),
        pytest.mark.cloudcart_settings({"gateway.retries": "off", "gateway.cache": "off"}),
    ]
    def decorate(function):
        for mark in marks:
            function = mark(function)
        return function
    return decorate

@scenario("99%")
def test_holds(cloudcart_run):
    assert cloudcart_run.passed, cloudcart_run.explain()

@scenario("1%")
def test_breaks(cloudcart_run):
    assert cloudcart_run.passed, cloudcart_run.explain()
"""


def test_two_workers_reach_the_same_verdicts_one_load_at_a_time(run_pytest, pytester):
    result = run_pytest(SCENARIOS, "-n2", "--dist=load", "--junitxml=cases.xml", "--cloudcart-coverage")
    found = {path.parent.name: json.loads(path.read_text()) for path in pytester.path.glob("cloudcart-runs/*/run.json")}
    verdicts = {run["name"]: run["verdict"] for run in found.values()}
    assert verdicts["holds"] in ("pass", "inconclusive")  # the latter on a machine that is too busy to tell
    assert verdicts["breaks"] in ("fail", "inconclusive")
    first, second = sorted((run["phases"][0]["start"], run["phases"][-1]["end"]) for run in found.values())
    assert first[1] <= second[0], "both loads at the same time"
    result.stdout.fnmatch_lines(["*= cloudcart =*", "coverage: 1 of *"])
    result.stdout.fnmatch_lines_random(["* holds  seed *", "* breaks  seed *"])
    assert 'name="test_breaks[objective errors &lt; 1% (gateway, fault)]"' in (pytester.path / "cases.xml").read_text()


def test_a_turn_is_waited_for_and_taken_again_freely(tmp_path):
    first, second = Turn(tmp_path / "turn"), Turn(tmp_path / "turn")
    order = []

    def wait():
        with second.taken():
            order.append("second")

    with first.taken(), first.taken():
        waiting = threading.Thread(target=wait)
        waiting.start()
        waiting.join(0.2)
        order.append("first")
    waiting.join(10)
    assert order == ["first", "second"]


def test_alone_there_is_nothing_to_wait_for(tmp_path):
    began = time.monotonic()
    with Turn(None).taken(), Turn(None).taken():
        assert time.monotonic() - began < 5
    assert list(tmp_path.iterdir()) == []


def test_the_plugins_of_locust_and_testcontainers_work_beside_it(run_pytest):
    result = run_pytest(
        """
        import importlib.util
        import sys

        def test_all_are_loaded(request, cloudcart_seed):
            plugins = request.config.pluginmanager
            assert plugins.has_plugin("locust") and plugins.has_plugin("cloudcart")
            assert request.config.getoption("--host") == "http://127.0.0.1:1"
            assert importlib.util.find_spec("testcontainers")
            assert cloudcart_seed == 4

        def test_nothing_heavy_was_imported():
            heavy = {"locust", "gevent", "fastapi", "sqlalchemy", "docker", "testcontainers", "pyarrow", "pydantic"}
            assert heavy.isdisjoint(sys.modules)
        """,
        "--host=http://127.0.0.1:1",
        "--cloudcart-seed=4",
        "-p",
        "no:schemathesis",
        "-p",
        "no:hypothesispytest",
    )
    result.assert_outcomes(passed=2)


def test_a_scenario_runs_beside_every_plugin_that_is_installed(on_lab, pytester):
    """Locust's and all others that come with packages; testcontainers has none of its own, so it is imported."""
    pytester.makeconftest("""
from importlib.metadata import entry_points

import testcontainers.core.container

def pytest_collection_finish(session):
    plugins = session.config.pluginmanager
    assert [entry.name for entry in entry_points(group="pytest11") if not plugins.has_plugin(entry.name)] == []
    assert plugins.has_plugin("locust")
""")
    result = on_lab(
        """
import pytest

@pytest.mark.cloudcart_load("browse", rate=15, duration=4, warmup=1)
@pytest.mark.cloudcart_fault("error", target="products", status=500, start=2, duration=1)
@pytest.mark.cloudcart_slo("traffic > 0/s")
def test_claim(cloudcart_run, request):
    assert request.config.getoption("--host") == "http://127.0.0.1:1"
    assert cloudcart_run.record["faults"][0]["injected"] > 0
        """,
        "--host=http://127.0.0.1:1",
        *("-p", "schemathesis"),  # the only one that the tests of this folder leave out
    )
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["* claim  seed *"])


def test_their_fixtures_markers_and_options_have_other_names_than_ours(pytester):
    """Those of every plugin that is installed: no name of theirs begins as ours do, and none is given twice."""
    listed = pytester.runpytest_subprocess("--fixtures", "-v", "-p", "no:cacheprovider").outlines
    places = re.findall(r"^(\w+)(?: \[\w+ scope\])? -- (\S+):\d+$", "\n".join(listed), re.MULTILINE)
    ours = {name for name, place in places if "cloudcart/pytest_plugin/" in place}
    theirs = {name for name, place in places if "cloudcart/pytest_plugin/" not in place}
    assert len(ours) >= 10
    assert len(theirs) >= 10
    assert ours.isdisjoint(theirs)
    assert {name for name in ours | theirs if name.startswith("cloudcart_")} == ours
    options = pytester.runpytest_subprocess("--help", "-p", "no:cacheprovider").outlines
    declared = [line.split()[0].rstrip("=,") for line in options if line.startswith("  --cloudcart-")]
    assert len(declared) == len(set(declared)) == len([*OPTIONS, *FLAGS, *LISTS])
