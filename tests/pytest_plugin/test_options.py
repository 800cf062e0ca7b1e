"""Each option of the plugin as its users meet it, on a lab that is up already."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from cloudcart.lab import list_labs, stop

SCENARIO = """
import pytest

@pytest.mark.cloudcart_load("browse", rate=20, duration="{seconds}s", warmup="1s")
{fault}
@pytest.mark.cloudcart_slo("errors < 5%")
@pytest.mark.cloudcart_slo("p50 < 5s", name="answers at all")
def test_claim(cloudcart_run):
    '''Nobody notices anything.'''  # missed objectives fail it all the same; a busy machine is no failure here
"""
BROKEN = '@pytest.mark.cloudcart_fault("error", target="products", status=500, start="2s", duration="{seconds}s")'
CONTROL = SCENARIO.format(seconds=4, fault="")


def broken(seconds: int = 2, load: int = 6) -> str:
    return SCENARIO.format(seconds=load, fault=BROKEN.format(seconds=seconds))


def runs(pytester, folder: str = "cloudcart-runs") -> list[dict]:
    found = sorted((pytester.path / folder).glob("*/run.json"))
    return [json.loads(path.read_text()) for path in found]


def test_junit_has_a_case_for_each_objective_and_invariant(on_lab, pytester):
    result = on_lab(broken(), "--junitxml=cases.xml", "--cloudcart-seed=3")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    cases = {case.get("name"): case for case in ElementTree.parse(pytester.path / "cases.xml").iter("testcase")}
    missed = cases["test_claim[objective errors < 5% (gateway)]"].find("failure")
    assert "95 % interval" in missed.get("message")
    assert "seed 3; report: " in missed.get("message")
    assert cases["test_claim[objective answers at all (gateway)]"].find("failure") is None
    assert "test_claim[invariant stock adds up]" in cases
    properties = {item.get("name"): item.get("value") for item in cases["test_claim"].iter("property")}
    assert properties["cloudcart_verdict"] in ("fail", "inconclusive")  # the latter on a machine that is too busy
    assert properties["cloudcart_seed"] == "3"
    result.stdout.fnmatch_lines(
        ["*test_claim*objective errors < 5%*", "FAIL: errors < 5%: * samples; seed 3; report: *"]
    )


def test_fail_fast_ends_a_scenario_at_the_first_objective_that_is_lost(on_lab, pytester):
    result = on_lab(broken(seconds=12, load=15), "--cloudcart-fail-fast")
    result.stdout.fnmatch_lines(["*fail fast errors < 5%*"])
    [run] = runs(pytester)
    assert run["faults"][0]["window"][1] - run["faults"][0]["window"][0] < 10


def test_getting_worse_than_what_was_saved_fails_a_session_whose_tests_pass(on_lab):
    first = on_lab(CONTROL, "--cloudcart-save=before", "--cloudcart-report-dir=out")
    first.stdout.fnmatch_lines(["saved as 'before': *out/saved/before.json"])
    passing = broken().replace("errors < 5%", "errors < 99%")
    compared = ("--cloudcart-compare=before", "--cloudcart-compare-fail=errors:5%")
    second = on_lab(passing, *compared, "--cloudcart-report-dir=out")
    second.assert_outcomes(passed=1)
    second.stdout.fnmatch_lines(["claim compared with 'before' (1 run before, 1 now):", "  errors *worse"])
    second.stdout.fnmatch_lines(["WORSE claim: errors (whole) got worse from 0 % to *, limit 0.05"])
    assert second.ret == pytest.ExitCode.TESTS_FAILED


def test_coverage_says_what_was_broken_by_what(on_lab, pytester):
    source = """
def test_by_hand(cloudcart_client, cloudcart_lab):
    with cloudcart_lab.inject("error", target="products:/products/{id}", status=503):
        assert cloudcart_client.get("/api/products/1").status_code == 503
    with cloudcart_lab.inject("db_slow_query", target="users", delay="1ms"):
        pass
"""
    result = on_lab(source, "--cloudcart-coverage")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["coverage: 1 of * kinds of fault hit something", "  Services: * broken, never: *"])
    page = (pytester.path / "cloudcart-runs" / "coverage.html").read_text()
    assert "products:/products/{id}" in page
    assert "users-&gt;postgres" in page


def test_options_have_ini_twins_and_repeats_show_the_noise(on_lab, pytester):
    given = ("seed = 9", "report_dir = elsewhere", "repeat = 2", "coverage = true")
    pytester.makeini("\n".join(["[pytest]", *(f"cloudcart_{line}" for line in given)]))
    result = on_lab(CONTROL)
    result.assert_outcomes(passed=2)
    assert sorted(run["seed"] for run in runs(pytester, "elsewhere")) == [9, 10]
    assert (pytester.path / "elsewhere" / "coverage.html").exists()
    result.stdout.fnmatch_lines(["claim: * of 2 runs passed; two runs differ by themselves by up to", "*p95 *(mean *)"])


def test_configuration_fixtures_can_be_overridden(on_lab, pytester):
    pytester.makeconftest("""
import pytest

@pytest.fixture(scope="session")
def cloudcart_seed():
    return 42

@pytest.fixture(scope="session")
def cloudcart_report_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("mine")

@pytest.fixture(scope="session")
def cloudcart_time_scale():
    return 720.0
""")
    source = """
def test_it(cloudcart_experiment, cloudcart_report_dir):
    assert (cloudcart_experiment.seed, cloudcart_experiment.time_scale) == (42, 720.0)
    assert "mine" in cloudcart_report_dir.name
"""
    on_lab(source).assert_outcomes(passed=1)


def test_a_lab_that_is_kept_can_be_used_again(run_pytest):
    source = "def test_it(cloudcart_lab): pass"
    first = run_pytest(source, "--cloudcart-keep")
    [name] = [line.split()[2] for line in first.outlines if line.startswith("lab kept: ")]
    try:
        run_pytest(source, f"--cloudcart-reuse={name}").assert_outcomes(passed=1)
        assert name in list_labs()
    finally:
        stop(name)


def test_a_lab_with_other_settings_is_not_reused(on_lab):
    marker = '@pytest.mark.cloudcart_settings({"gateway.retries": "on"})'
    result = on_lab(f"import pytest\n\n{marker}\ndef test_it(cloudcart_lab): pass")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*needs gateway.retries=on*start it with: cloudcart up *"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--cloudcart-seed=x"], "*--cloudcart-seed x: write a number from 0 up*"),
        (["--cloudcart-repeat=0"], "*--cloudcart-repeat 0: write a number from 1 up*"),
        (["--cloudcart-time-scale=0"], "*--cloudcart-time-scale 0: write a number from 0.001 up*"),
        (["--cloudcart-compare=never"], "*nothing was saved under this name; there is: nothing yet*"),
        (["--cloudcart-compare-fail=p95:10%"], "*needs --cloudcart-compare=NAME*"),
        (["--cloudcart-backend=moon"], "*there is no backend 'moon'*"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(run_pytest, options, message):
    source = CONTROL if "moon" not in options[0] else "def test_it(cloudcart_lab): pass"
    result = run_pytest(source, *options)
    assert result.ret != pytest.ExitCode.OK
    pytest.LineMatcher([*result.outlines, *result.errlines]).fnmatch_lines([message])
