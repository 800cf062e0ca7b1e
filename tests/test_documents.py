"""Documents in YAML, TOML and JSON: values by the rules of each, and where in the file each of them stands."""

from __future__ import annotations

import json
import tomllib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cloudcart.documents import Document, read_document, write_yaml
from cloudcart.exceptions import UsageError

YAML = """\
name: x
settings: {gateway.retries: off}
faults:
  - kind: latency
    probability: 2
  - {kind: error,
     status: 7}
"""
TOML = """\
name = "x"
objectives = [
  "p99 < 2s",
  # a comment
  { objective = "errors < 1%", phase = "fault" },
]
[load]
journey = "browse"
[[faults]]
kind = "latency"
[[faults]]
kind = "error"
probability = 2
"""
JSON = '{\n\t"name": "x",\n\t"faults": [\n\t\t{"kind": 1},\n\t\t{"kind": 2}]}'


@pytest.fixture
def read(tmp_path):
    def written(text: str, suffix: str) -> Document:
        path = tmp_path / f"doc{suffix}"
        path.write_text(text)
        return read_document(path)

    return written


@pytest.mark.parametrize(
    ("text", "suffix", "field", "said"),
    [
        (YAML, ".yaml", ("faults", 0, "probability"), "doc.yaml, line 5, faults[0].probability: no"),
        (YAML, ".yaml", ("faults", 1, "status"), "doc.yaml, line 7, faults[1].status: no"),
        (YAML, ".yml", ("settings", "gateway.retries"), "doc.yml, line 2, settings.gateway.retries: no"),
        (YAML, ".yaml", ("faults", 1, "missing"), "doc.yaml, line 6, faults[1].missing: no"),
        (YAML, ".yaml", ("missing",), "doc.yaml, missing: no"),
        (YAML, ".yaml", (), "doc.yaml: no"),
        (TOML, ".toml", ("objectives", 1, "phase"), "doc.toml, line 5, objectives[1].phase: no"),
        (TOML, ".toml", ("load", "journey"), "doc.toml, line 8, load.journey: no"),
        (TOML, ".toml", ("faults", 1, "probability"), "doc.toml, line 13, faults[1].probability: no"),
        (TOML, ".toml", ("faults", 1), "doc.toml, line 11, faults[1]: no"),
        (JSON, ".json", ("faults", 1, "kind"), "doc.json, line 5, faults[1].kind: no"),
    ],
)
def test_an_error_says_where(read, text, suffix, field, said):
    assert str(read(text, suffix).error("no", field)) == said


@pytest.mark.parametrize(
    ("text", "suffix", "said"),
    [
        ("a: [", ".yaml", "doc.yaml, line 1, column 5: "),
        ("a: 1\na: 2", ".yaml", "doc.yaml, line 2: a is given twice"),
        ("a: !!python/object:os.system 1", ".yaml", "doc.yaml, line 1, column 4: could not determine a constructor"),
        ("- 1", ".yaml", "doc.yaml, line 1: a document holds names and values"),
        ("", ".yaml", "doc.yaml, line 1: a document holds names and values"),
        ("a = 1\nb = ", ".toml", "doc.toml, line 2: Invalid value"),
        ('{"a": 1,}', ".json", "doc.json, line 1, column "),
        ("a: 1", ".ini", "a document's name ends in .yaml, .yml, .toml or .json"),
    ],
)
def test_what_is_no_document_is_refused_with_its_place(read, text, suffix, said):
    with pytest.raises(UsageError) as refused:
        read(text, suffix)
    assert said in str(refused.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        read_document(tmp_path / "none.yaml")


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "doc.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="no text in UTF-8"):
        read_document(tmp_path / "doc.yaml")


def test_aliases_cannot_make_it_endless(read):
    levels = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9))
    with pytest.raises(UsageError, match="larger, or nested deeper"):
        read(f"a0: &a0 [x]\n{levels}", ".yaml")
    with pytest.raises(UsageError, match="larger, or nested deeper"):
        read("a: &a [*a]", ".yaml")


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        *[(text, text) for text in ("off", "yes", "1:30", "2024-01-01", "5s", "nine")],
        *[("true", True), ("5", 5), ("-3", -3), ("0.5", 0.5), ("1e3", 1000.0)],
        *[("~", None), ("", None), ("null", None)],
    ],
)
def test_scalars_follow_yaml_1_2(read, scalar, value):
    found = read(f"a: {scalar}", ".yaml").values["a"]
    assert (found, type(found)) == (value, type(value))


NAMES = st.text("abc", min_size=1, max_size=3)
SCALARS = st.integers() | st.booleans() | st.text(max_size=5)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3))


@given(st.dictionaries(NAMES, VALUES, max_size=4))
@example({"a": "0E0"})
@example({"a": "\x85", "b": "\u2028x", "c": "\ufeff"})
def test_what_is_written_is_read(tmp_path_factory, values):
    folder = tmp_path_factory.mktemp("documents", numbered=True)
    for suffix, text in ((".yaml", write_yaml(values)), (".json", json.dumps(values))):
        path = folder / f"doc{suffix}"
        path.write_text(text)
        assert read_document(path).values == values


@given(st.text(alphabet='ab=[]{}"#, \n1', max_size=60))
def test_places_are_found_in_every_toml_that_can_be_read(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text(text)
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    document = read_document(path)
    for name in values:
        assert document.place((name,)) is not None
