"""Scenarios are found by name, read from their markers, and refused with one clear sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudcart.exceptions import UsageError
from cloudcart.experiment import find_scenario, list_scenarios, load_scenario
from cloudcart.experiment.scenario import first_sentence

SHIPPED = Path(__file__).parents[2] / "scenarios"


@pytest.fixture
def scenario(tmp_path):
    def write(markers: str, name: str = "test_claim.py") -> Path:
        file = tmp_path / name
        file.write_text(f"import pytest\n{markers}\ndef test_claim(cloudcart_run):\n    '''A claim. More.'''\n")
        return file

    return write


@pytest.mark.parametrize("file", sorted(SHIPPED.glob("test_*.py")), ids=lambda file: file.stem)
def test_every_shipped_scenario_makes_sense(file):
    experiment = load_scenario(file, seed=5)
    assert experiment.claim
    assert experiment.objectives
    assert experiment.load is not None
    assert experiment.load.duration <= 60
    assert (experiment.seed, experiment.load.seed) == (5, 5)


def test_a_name_finds_a_file(monkeypatch):
    monkeypatch.chdir(SHIPPED.parent)
    file = find_scenario("control-no-fault-no-alarm")
    assert file in list_scenarios()


def test_an_unknown_name_lists_those_there_are():
    with pytest.raises(UsageError, match=r"there is no scenario 'world-peace'; there are: .*control_no_fault_no_alarm"):
        find_scenario("world-peace")


def test_markers_keep_their_order(scenario):
    file = scenario(
        "@pytest.mark.cloudcart_load('browse', rate=5, duration='20s')\n"
        "@pytest.mark.cloudcart_fault('error', target='products', start='2s', duration='3s')\n"
        "@pytest.mark.cloudcart_fault('latency', target='orders', fixed='5ms', start='6s', duration='3s')\n"
        "@pytest.mark.cloudcart_slo('p50 < 1s')\n@pytest.mark.cloudcart_slo('errors < 50%')"
    )
    experiment = load_scenario(file)
    assert experiment.claim == "A claim"
    assert [item.fault.kind for item in experiment.faults] == ["error", "latency"]
    assert [objective.text for objective in experiment.objectives] == ["p50 < 1s", "errors < 50%"]


def test_a_scheduled_fault_gets_the_seed_and_a_ttl_that_outlives_it(scenario):
    experiment = load_scenario(
        scenario(
            "@pytest.mark.cloudcart_load('browse', rate=5, duration='90s')\n"
            "@pytest.mark.cloudcart_fault('error', target='products', start='2s', duration='80s')"
        ),
        seed=9,
    )
    fault = experiment.seeded(experiment.faults[0].fault)
    assert fault.seed == 9
    assert 80 < fault.ttl < 90


@pytest.mark.parametrize(
    ("markers", "message"),
    [
        ("", "has no test with a cloudcart_load marker"),
        ("@pytest.mark.cloudcart_load", "takes the journey's name first"),
        ("@pytest.mark.cloudcart_load('browse', rate=5, duration='5s')\n" * 2, "one cloudcart_load marker"),
        ("@pytest.mark.cloudcart_load('browse', rate=-5, duration='5s')", "rate"),
        ("@pytest.mark.cloudcart_load('browse', rate=5, duration='soon')", "'soon' is not a duration"),
    ],
)
def test_nonsense_is_refused(scenario, markers, message):
    with pytest.raises(UsageError, match=message):
        load_scenario(scenario(markers))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("'error', target='products', start='8s', duration='5s'", "lengthen the load or shorten the fault"),
        ("'error', target='products', start='1s', duration='5s'", "within the warm-up"),
        ("target='products'", "takes the kind first"),
        ("'gremlins', target='products'", "there is no fault 'gremlins'"),
        ("'error', target='products', start='3s', duration='5s', ttl=0", "ttl"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(scenario, fault, message):
    load = "@pytest.mark.cloudcart_load('browse', rate=5, duration='10s', warmup='2s')"
    with pytest.raises(UsageError, match=message):
        load_scenario(scenario(f"{load}\n@pytest.mark.cloudcart_fault({fault})"))


def test_a_file_that_cannot_be_imported_is_named(tmp_path):
    file = tmp_path / "test_broken.py"
    file.write_text("import nothing_of_this_name")
    with pytest.raises(UsageError, match=r"test_broken\.py cannot be imported: No module named"):
        load_scenario(file)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("One. Two.", "One"),
        ("p99 is 1.5 s. x", "p99 is 1.5 s"),
        ("Over\n  two lines.\n\nB", "Over two lines"),
        ("", ""),
    ],
)
def test_the_claim_is_the_first_sentence(text, sentence):
    assert first_sentence(text) == sentence
