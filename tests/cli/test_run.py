"""``cloudcart run`` and ``list`` as processes: verdicts and exit codes, refusals, Ctrl-C; nothing is ever left."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

SCENARIO = '''
"""A short scenario."""
import pytest

@pytest.mark.cloudcart_load("browse", rate=10, duration="3s", warmup="500ms")
@pytest.mark.cloudcart_fault("latency", target="products", fixed="5ms", start="1s", duration="1s")
@pytest.mark.cloudcart_slo({objective!r})
def test_short(cloudcart_run):
    """It is what it is."""
    assert cloudcart_run.passed, cloudcart_run.explain()
'''


@pytest.fixture(scope="module", autouse=True)
def lab(cloudcart):
    """A lab that runs can use, since a start for each takes longer than the run."""
    yield cloudcart.json("up", "--detach", "--free-ports", "--name", "runs")
    cloudcart("down", "--name", "runs")


@pytest.fixture
def scenario(tmp_path):
    """Write a scenario with one objective and return its path."""

    def write(objective):
        path = tmp_path / "test_short.py"
        path.write_text(SCENARIO.format(objective=objective))
        return str(path)

    return write


@pytest.mark.parametrize(
    ("objective", "verdict", "code"),
    [("p50 < 9s", "pass", 0), ("p50 < 1us", "fail", 1), ("p99 < 9s", "inconclusive", 3)],
)
def test_the_verdict_is_the_exit_code(cloudcart, scenario, tmp_path, objective, verdict, code):
    done = cloudcart(
        "run", scenario(objective), "--name", "runs", "--seed", "7", "--json", "--report-dir", str(tmp_path)
    )
    found = json.loads(done.stdout)
    assert done.returncode == code, done.stderr
    assert (found["verdict"], found["seed"]) == (verdict, 7)
    assert {"objective", "verdict", "reading", "bound", "samples", "error_bound", "reason"} <= found["objectives"][
        0
    ].keys()
    assert {"id", "kind", "target", "drawn", "injected", "window"} <= found["faults"][0].keys()
    assert {"name", "verdict", "detail"} <= found["invariants"][0].keys()
    assert "steady" in done.stderr, "progress goes to standard error"

    (folder,) = [path for path in tmp_path.iterdir() if path.is_dir() and path.name != "__pycache__"]
    assert found["directory"] == str(folder)
    assert json.loads((folder / "run.json").read_text())["objectives"] == found["objectives"]

    (folder / "report.html").unlink()
    again = cloudcart("report", str(folder))
    assert again.returncode == 0, again.stderr
    assert again.stdout == f"{folder / 'report.html'}\n"
    assert (folder / "report.html").stat().st_size > 10_000


def test_a_document_runs_like_a_scenario(cloudcart, tmp_path):
    example = Path(__file__).parents[2] / "examples" / "slow_gateway.yaml"
    done = cloudcart("run", str(example), "--name", "runs", "--json", "--report-dir", str(tmp_path))
    found = json.loads(done.stdout)
    assert done.returncode == {"pass": 0, "fail": 1, "inconclusive": 3}[found["verdict"]], done.stderr
    assert found["seed"] == 7, "the document's"
    assert found["faults"][0]["injected"] > 0
    assert found["objectives"][0]["objective"] == "errors < 2%"


def test_for_people(cloudcart, scenario, tmp_path):
    done = cloudcart("run", scenario("p50 < 9s"), "--name", "runs", "--report-dir", str(tmp_path / "new" / "folder"))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert any(line.startswith("PASS  short: It is what it is") for line in lines)
    assert lines[-1].startswith(f"report: {tmp_path}/new/folder/short-")


def test_ctrl_c_heals_and_leaves_the_lab(cloudcart, scenario, tmp_path, lab):
    with cloudcart.begun("run", scenario("p50 < 9s"), "--name", "runs", "--report-dir", str(tmp_path)) as process:
        assert any(line.startswith("fault") for line in process.stderr)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 130
        assert "Traceback" not in err
    cloudcart.wait_until(
        lambda: not [p for p in cloudcart.processes if "generator" in " ".join(p.cmdline())], "load ends"
    )
    assert set(lab["pids"].values()) <= {process.pid for process in cloudcart.processes}
    assert cloudcart("heal", "--name", "runs").stdout == "no fault was active\n"


def test_ctrl_c_ends_a_lab_of_its_own(cloudcart, scenario, tmp_path):
    with cloudcart.begun("run", scenario("p50 < 9s"), "--report-dir", str(tmp_path)) as process:
        assert any(line.startswith("load") for line in process.stderr)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        assert process.returncode == 130
    labs = [path.name for path in (cloudcart.state / "labs").iterdir() if path.is_dir()]
    assert labs == ["runs"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["no_such_claim"], "there is no scenario 'no_such_claim'; there are: "),
        (["gone.py"], "there is no file gone.py"),
        (["control_no_fault_no_alarm", "--set", "gateway.x=1"], "there is no setting 'gateway.x'"),
        (["control_no_fault_no_alarm", "--seed", "x"], "Invalid value for '--seed'"),
        (["control_no_fault_no_alarm", "--name", "runs", "--report-dir", "/dev/null/runs"], "cannot be made"),
        (["control_no_fault_no_alarm", "--name", "runs", "--report-dir", __file__], "--report-dir"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(cloudcart, arguments, sentence):
    done = cloudcart("run", *arguments)
    assert done.returncode == 2, done.stderr
    assert sentence in done.stderr
    assert done.stdout == ""


def test_a_lab_that_is_not_there(cloudcart):
    done = cloudcart("run", "control_no_fault_no_alarm", "--name", "nowhere")
    assert done.returncode == 4
    assert "no lab 'nowhere' is running; running: runs" in done.stderr


def test_list(cloudcart):
    found = {scenario["name"]: scenario for scenario in cloudcart.json("list")}
    assert found["control_no_fault_no_alarm"]["claim"] == "Nothing is broken and no objective is missed"
    text = cloudcart("list").stdout
    assert all(name in text for name in found)


@pytest.mark.parametrize("package", ["locust", "pyarrow", "pytest"])
def test_a_missing_package_names_the_command_that_adds_it(cloudcart, environment_without, package):
    search = environment_without(package)["PYTHONPATH"]
    done = cloudcart("run", "control_no_fault_no_alarm", "--name", "runs", PYTHONPATH=search)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == f"Error: {package} is not installed; run: pip install 'cloudcart[load]'"
