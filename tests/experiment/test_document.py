"""Experiments in files: every error names file, line and field, nothing is lost on the way, and the schema agrees."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcart.documents import read_document, write_yaml
from cloudcart.exceptions import UsageError
from cloudcart.experiment import (
    Experiment,
    ScheduledFault,
    experiment_document,
    experiment_schema,
    fault_schema,
    find_scenario,
    load_scenario,
    read_experiment,
    read_fault,
)
from cloudcart.faults import parse_fault
from cloudcart.load import LoadProfile
from cloudcart.signals import Objective

EXAMPLES = Path(__file__).parents[2] / "examples"
GOOD = """\
name: x
claim: It holds
seed: 7
load: {journey: browse, rate: 10, duration: 20s, warmup: 3s}
faults:
  - kind: latency
    target: products
    median: 80ms
    start: 5s
    duration: 8s
  - {kind: error, target: products, probability: 0.5, start: 5s, duration: 3s,
     ttl: 60s}
objectives:
  - p99 < 2s
  - {objective: errors < 1%, route: /api/orders, phase: fault}
settings:
  gateway.retries: off
  gateway: {cache: false}
"""


@pytest.fixture
def read(tmp_path):
    def written(text: str, **given):
        (tmp_path / "x.yaml").write_text(text)
        return read_experiment(tmp_path / "x.yaml", **given)

    return written


def test_a_document_says_all_that_markers_can_say(read):
    experiment = read(GOOD)
    assert experiment.load == LoadProfile(journey="browse", rate=10, duration="20s", warmup="3s", seed=7)
    assert [item.fault.kind for item in experiment.faults] == ["latency", "error"]
    assert [(item.start, item.duration) for item in experiment.faults] == [(5, 8), (5, 3)]
    assert experiment.objectives[1] == Objective.parse("errors < 1%", route="/api/orders", phase="fault")
    assert experiment.settings == {"gateway.retries": "off", "gateway.cache": "off"}


def test_what_is_given_from_outside_wins(read):
    experiment = read(GOOD, seed=9, settings={"gateway.retries": "on"})
    assert (experiment.seed, experiment.load.seed) == (9, 9)
    assert experiment.settings == {"gateway.retries": "on", "gateway.cache": "off"}


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("0.5", "2", "line 11, faults[1].probability: a share lies between 0 and 1 (0% to 100%), got 2"),
        ("80ms", "x", "line 8, faults[0].median: 'x' is not a duration"),
        ("median", "medain", "line 8, faults[0].medain: the fault latency has no such field"),
        ("kind: latency", "kind: latecny", "line 6, faults[0].kind: there is no fault 'latecny'"),
        ("target: products", "target: prodcuts", "line 7, faults[0].target: there is no 'prodcuts' to aim at"),
        ("duration: 8s", "duration: never", "line 10, faults[0].duration: 'never' is not a duration"),
        ("duration: 8s", "duration: 80s", "line 6, faults[0]: +80ms on products ends 85s after the start"),
        ("start: 5s, duration: 3s", "start: 1s", "line 11, faults[1]: 503 on products starts at 1s, within"),
        ("rate: 10", "rate: -1", "line 4, load.rate: "),
        ("rate: 10", "rate: 10, users: 3", "line 4, load: say exactly one of rate= (open)"),
        ("journey: browse, ", "", "line 4, load.journey: Field required"),
        ("p99 < 2s", "p99 is good", "line 14, objectives[0]: 'p99 is good' is not an objective"),
        ("phase: fault", "phase: gone", "line 15, objectives[1]: objective 'errors < 1%': there is no phase 'gone'"),
        ("{objective", "{objectve", "line 15, objectives[1]: say what must hold"),
        ("- p99 < 2s", "- 4", "line 14, objectives[0]: write names and values here, not 4"),
        ("gateway.retries", "gateway.retires", "line 17, settings.gateway.retires: there is no setting"),
        ("cache: false", "cache: perhaps", "line 18, settings.gateway.cache: setting 'gateway.cache': Input should"),
        ("claim", "cliam", "line 2, cliam: an experiment has no such field; it has name, claim, load"),
        ("seed: 7", "seed: x", "line 3, seed: Input should be a valid integer"),
        ("objectives:\n", "objectives: 3\nsteady:\n", "line 13, objectives: write a list"),
        ("seed: 7", "seed: 7\nseed: 8", "line 4: seed is given twice"),
    ],
)
def test_what_is_wrong_is_said_with_file_line_and_field(read, right, wrong, said):
    assert right in GOOD
    with pytest.raises(UsageError) as refused:
        read(GOOD.replace(right, wrong, 1))
    assert str(refused.value).startswith(f"x.yaml, {said}")


DURATIONS = st.floats(0, 100, allow_nan=False).map(lambda value: round(value, 4))
FAULTS = st.builds(
    lambda kind, options, start: ScheduledFault(
        fault=parse_fault({"kind": kind, "target": "products", **options}), start=start, duration=5
    ),
    kind=st.sampled_from(["error", "timeout", "pause", "corrupt"]),
    options=st.fixed_dictionaries({}, optional={"ttl": st.sampled_from(["60s", "1.5s"]), "seed": st.integers(0, 9)}),
    start=st.integers(1, 5),
)
OBJECTIVES = st.builds(
    lambda text, scope: Objective.parse(text, **scope),
    text=st.sampled_from(["p99 < 2s", "errors < 1%", "traffic > 30"]),
    scope=st.fixed_dictionaries(
        {}, optional={"phase": st.just("fault"), "service": st.just("gateway"), "source": st.just("scrape")}
    ),
)
LOADS = st.sampled_from(
    [
        LoadProfile(journey="browse", rate=4.5, duration=20),
        LoadProfile(journey="browse", users=3, duration="30s", warmup="500ms"),
        LoadProfile(journey="browse", stages=[("10s", 5), (20, 2.5)], seed=3),
    ]
)


@given(
    experiment=st.builds(
        Experiment,
        name=st.text("abc-: #", min_size=1),
        claim=st.text(max_size=20),
        load=LOADS,
        faults=st.lists(FAULTS, max_size=3).map(tuple),
        objectives=st.lists(OBJECTIVES, max_size=3).map(tuple),
        abort_if=st.lists(OBJECTIVES, max_size=1).map(tuple),
        settings=st.dictionaries(st.just("gateway.retries"), st.sampled_from(["on", "off"])),
        seed=st.integers(0, 5),
        recovery_deadline=DURATIONS,
    )
)
def test_an_experiment_survives_being_written_and_read(tmp_path_factory, experiment):
    document = experiment_document(experiment)
    folder = tmp_path_factory.getbasetemp()
    for suffix, text in ((".yaml", write_yaml(document, heading="written")), (".json", json.dumps(document))):
        (folder / f"again{suffix}").write_text(text)
        again = read_experiment(folder / f"again{suffix}")
        assert again == experiment
        assert [item.fault.model_fields_set for item in again.faults] == [
            item.fault.model_fields_set for item in experiment.faults
        ], "a time to live that was said is kept, also where it is the default"


def test_what_is_written_fits_the_schema(read):
    schema = experiment_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(experiment_document(read(GOOD)), schema)


@pytest.mark.parametrize("wrong", [("median", "medain"), ("80ms", "fast"), ("rate: 10", "rate: x"), ("claim", "cliam")])
def test_the_schema_sees_what_an_editor_should_mark(tmp_path, wrong):
    (tmp_path / "x.yaml").write_text(GOOD.replace(*wrong, 1))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(read_document(tmp_path / "x.yaml").values, experiment_schema())


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("s*.*")), ids=lambda file: file.name)
def test_the_examples_make_sense_and_fit_the_schema(file):
    jsonschema.validate(read_document(file).values, experiment_schema())
    experiment = load_scenario(find_scenario(str(file)))
    assert experiment.claim
    assert experiment.seed == 7


def test_the_example_of_a_fault(tmp_path):
    example = EXAMPLES / "fault.yaml"
    jsonschema.validate(read_document(example).values, fault_schema())
    assert read_fault(example).label == "503 on products:/products/{product_id}"
    (tmp_path / "fault.toml").write_text('kind = "error"\ntarget = "products"\nstatus = 200\n')
    with pytest.raises(UsageError, match=r"^fault.toml, line 3, status: Input should be greater"):
        read_fault(tmp_path / "fault.toml")
