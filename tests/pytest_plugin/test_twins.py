"""Options of the plugin by their ini twins, each with the effect that its users count on; and a lab given by URL."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from cloudcart.cli.lab_view import environment_lines
from cloudcart.lab import attach, list_labs, stop

IDLE = "def test_it(cloudcart_lab): pass"
SCENARIO = """
import pytest

@pytest.mark.cloudcart_load("browse", rate=15, duration={load}, warmup=1)
{fault}
@pytest.mark.cloudcart_slo("errors < 5%")
def test_claim(cloudcart_run):
    pass  # what is asked here is not the verdict, which a busy machine may leave open
"""
SHORT = SCENARIO.format(load=3, fault="")


@pytest.fixture
def ini(pytester) -> Callable[..., None]:
    """Write an ini file: ``ini(seed="3")`` sets ``cloudcart_seed``."""

    def write(**values: str) -> None:
        pytester.makeini("\n".join(["[pytest]", *(f"cloudcart_{name} = {value}" for name, value in values.items())]))

    return write


def test_backend_url_and_time_scale(run_pytest, ini):
    source = """
def test_it(cloudcart_backend, cloudcart_time_scale, cloudcart_experiment):
    assert (cloudcart_backend, cloudcart_time_scale) == {}
    assert cloudcart_experiment.time_scale == cloudcart_time_scale
"""
    ini(backend="containers", time_scale="720")
    run_pytest(source.format(("containers", 720.0))).assert_outcomes(passed=1)
    given = ("--cloudcart-backend=embedded", "--cloudcart-time-scale=60")
    run_pytest(source.format(("embedded", 60.0)), *given).assert_outcomes(passed=1)
    ini(backend="containers", url="http://127.0.0.1:1")
    run_pytest(source.format(("external", 1.0))).assert_outcomes(passed=1)


def test_the_backend_is_where_the_lab_is_started(run_pytest, ini, monkeypatch):
    ini(backend="external")
    monkeypatch.setenv("CLOUDCART_URLS__GATEWAY", "")
    result = run_pytest(IDLE)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*an external lab needs *CLOUDCART_AUTH__SERVICE_SECRET*"])


def test_a_time_scale_makes_a_page_come_sooner(on_lab, pytester):
    """The windows of a month's budget are far longer than a run; 720 times as fast they are seconds."""
    fault = '@pytest.mark.cloudcart_fault("error", target="products", status=500, start=2, duration=5)'
    source = SCENARIO.format(load=8, fault=fault).replace('"errors < 5%"', '"alert < 6s", slo="99%"')
    on_lab(source, "--cloudcart-time-scale=720")
    [run] = records(pytester)
    [alert] = run["objectives"]
    assert "burn rate over" in alert["reason"], "a page came"
    assert run["budgets"][0]["period"] == 30 * 86_400 / 720


def test_settings_of_the_ini_file_and_those_that_win_over_them(run_pytest, pytester):
    pytester.makeini("[pytest]\ncloudcart_set =\n    gateway.retries=off\n    gateway.cache=off\n")
    source = """
def test_it(cloudcart_experiment):
    assert cloudcart_experiment.settings == {"gateway.retries": "%s", "gateway.cache": "off"}
"""
    run_pytest(source % "off").assert_outcomes(passed=1)
    run_pytest(source % "on", "--cloudcart-set=gateway.retries=on").assert_outcomes(passed=1)


def test_a_setting_reaches_the_shop(run_pytest):
    source = """
def test_it(cloudcart_lab):
    assert cloudcart_lab.settings.gateway.retries is False
"""
    run_pytest(source, "--cloudcart-set=gateway.retries=off").assert_outcomes(passed=1)


def test_reuse_and_fail_fast(run_pytest, ini, running_lab, pytester):
    ini(reuse=running_lab, fail_fast="true")
    fault = '@pytest.mark.cloudcart_fault("error", target="products", status=500, start=2, duration=20)'
    result = run_pytest(SCENARIO.format(load=23, fault=fault))
    result.stdout.fnmatch_lines(["time: 1 lab started in *; 1 scenario: * s of load and recovery, *"])
    [run] = records(pytester)
    assert run["faults"][0]["window"][1] - run["faults"][0]["window"][0] < 18
    assert run["objectives"][-1]["name"] == "fail fast errors < 5%"
    assert running_lab in list_labs(), "it is somebody else's to end"


def test_keep(run_pytest, ini):
    ini(keep="true")
    result = run_pytest("def test_it(cloudcart_lab): print('name', cloudcart_lab.name)", "-s")
    [name] = [line.split()[2] for line in result.outlines if line.startswith("lab kept: ")]
    try:
        assert name in list_labs()
    finally:
        stop(name)


def test_save_and_compare(on_lab, ini, pytester):
    ini(save="first", report_dir="out")
    on_lab(SHORT).stdout.fnmatch_lines(["saved as 'first': *out/saved/first.json"])
    pretend_it_was_faster(pytester.path / "out" / "saved" / "first.json")
    ini(compare="first", compare_fail="p50:1%", report_dir="out")
    slower = on_lab(SHORT)
    slower.assert_outcomes(passed=1)
    slower.stdout.fnmatch_lines(["WORSE claim: p50 (whole) got worse from *, limit 0.01"])
    assert slower.ret == pytest.ExitCode.TESTS_FAILED


def pretend_it_was_faster(saved) -> None:
    """Make what was saved a hundred times as fast, so that whatever comes is slower."""
    document = json.loads(saved.read_text())
    for run in document["scenarios"]["claim"]:
        for reading in run["readings"]:
            if reading["signal"] == "p50":
                reading |= {name: (reading[name] or 0.0) / 100 for name in ("value", "low", "high")}
    saved.write_text(json.dumps(document))


def test_bare_save_and_compare_have_a_name(on_lab, ini):
    on_lab(SHORT, "--cloudcart-save").stdout.fnmatch_lines(["saved as 'baseline': *"])
    ini(compare_fail="errors:50%")
    compared = on_lab(SHORT, "--cloudcart-compare")
    compared.assert_outcomes(passed=1)
    compared.stdout.fnmatch_lines(["claim compared with 'baseline' (1 run before, 1 now):"])
    assert compared.ret == pytest.ExitCode.OK


def test_a_limit_without_anything_to_compare_with_is_refused(run_pytest, ini):
    ini(compare_fail="p95:10%")
    result = run_pytest(IDLE)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--cloudcart-compare-fail needs --cloudcart-compare=NAME*"])


def test_a_lab_of_another_process_given_by_its_url(run_pytest, url, running_lab, pytester):
    where = f"def test_where(cloudcart_lab):\n    assert cloudcart_lab.urls['gateway'] == '{url}'\n"
    result = run_pytest(f"{SHORT}\n{where}", f"--cloudcart-url={url}")
    result.assert_outcomes(passed=2)
    [run] = records(pytester)
    assert run["backend"] == "external"
    assert run["generator"]["requests"] > 0
    assert running_lab in list_labs()


def test_what_an_external_lab_cannot_do_is_skipped_with_a_sentence(run_pytest, url):
    marker = '@pytest.mark.cloudcart_settings({"gateway.retries": "on"})'
    result = run_pytest(f"import pytest\n\n{marker}\n{IDLE}", f"--cloudcart-url={url}", "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*gateway.retries=on is needed, and the lab at *"])


@pytest.fixture
def url(running_lab, monkeypatch) -> str:
    """The gateway of a lab that runs in other processes; the environment says all else that is needed to reach it."""
    with attach(running_lab) as lab:
        for line in environment_lines(lab):
            name, _, value = line.removeprefix("export ").partition("=")
            monkeypatch.setenv(name, value.strip("'"))
        monkeypatch.delenv("CLOUDCART_URLS__GATEWAY")
        return lab.urls["gateway"]


def records(pytester) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(pytester.path.glob("cloudcart-runs/*/run.json"))]
