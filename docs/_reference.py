"""The parts of the reference that are made from code and registries, as Markdown, so that they cannot be out of date.

One function a page, each without arguments; ``conf.py`` puts them in at ``{generated} NAME``. Run it with a name to see
one: ``python docs/_reference.py metrics``.
"""

from __future__ import annotations

import inspect
import json
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import click

import cloudcart
import cloudcart.settings
from cloudcart.asyncapi import asyncapi_document
from cloudcart.cli.output_schema import PROMISED, output_schema
from cloudcart.cli.program import program
from cloudcart.events import EVENTS
from cloudcart.pytest_plugin import fixtures, plugin, target
from cloudcart.pytest_plugin.markers import MARKERS
from cloudcart.signals import SIGNALS

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parent


def command_line() -> str:
    """Every command: what it does, its arguments and options."""
    parts = []
    with click.Context(program, info_name="cloudcart") as context:
        for name in program.list_commands(context):
            command = program.get_command(context, name)
            assert command is not None
            own = click.Context(command, parent=context, info_name=name)
            usage = " ".join(["cloudcart", name, *command.collect_usage_pieces(own)])
            rows = [_option(it, own) for it in command.params if isinstance(it, click.Option) and not it.hidden]
            parts += [
                f"## `cloudcart {name}`",
                _fence(usage),
                _prose(command.help or ""),
                _table("Option|Meaning", rows),
            ]
    return _page(parts)


def _option(option: click.Option, context: click.Context) -> tuple[str, str]:
    shown = option.get_help_record(context)
    assert shown is not None
    return f"`{shown[0]}`", shown[1]


def _prose(text: str) -> str:
    """Return a command's help; paragraphs that click leaves as they are written (``\\b``) are examples."""
    parts = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(_fence(part.lstrip("\b\n")) if part.startswith("\b") else part for part in parts)


def settings() -> str:
    """Every setting, by section."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for it in _printed("settings"):
        row = (f"`{it['name']}`", f"`{it['default']}`", it["description"], f"`{it['environment']}`")
        found.setdefault(it["name"].partition(".")[0] if "." in it["name"] else "general", []).append(row)
    heading = "Setting|Default|Meaning|Environment variable"
    return _page(part for name, rows in found.items() for part in (f"## {name}", _table(heading, rows)))


def signals() -> str:
    """What objectives can be about."""
    rows = [("`p50` .. `p99.9`", "latency", "s", "a percentile of latency; any number from 0 to 99.9…")]
    rows += [(f"`{it.name}`", it.family, it.unit, it.meaning) for it in SIGNALS.values()]
    return _table("Signal|Family|Unit|Meaning", rows)


def metrics() -> str:
    """What each service exposes at ``/metrics``; labels as they are declared."""
    by_name: dict[str, dict[str, Any]] = {}
    for service in cloudcart.settings.SERVICES:
        for family in _families(service):
            entry = by_name.setdefault(family.name, {"type": family.type, "help": family.documentation, "at": []})
            entry["at"].append(service)
    rows = [
        (f"`{name}{'_total' if it['type'] == 'counter' else ''}`", it["type"], it["help"], _services(it["at"]))
        for name, it in sorted(by_name.items())
    ]
    return _table("Metric|Type|Meaning|Services", rows)


def _families(service: str) -> Iterator[Any]:
    """Build a service without starting it: what it will count is declared then."""
    from prometheus_client import CollectorRegistry

    registry = CollectorRegistry()
    cloudcart.create_service(service, _anywhere(), registry=registry)
    yield from registry.collect()


def _anywhere() -> cloudcart.Settings:
    """Return settings with which services can be built; nothing is ever reached with them."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    key = Ed25519PrivateKey.generate()
    return cloudcart.Settings().with_overrides(
        {
            "auth.private_key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
            "auth.public_key": key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
            "auth.service_secret": "documentation" * 3,
            "stores.database": "postgresql+psycopg://nobody@localhost/nothing",
        }
    )


def _services(names: list[str]) -> str:
    return "all" if len(names) == len(cloudcart.settings.SERVICES) else ", ".join(names)


def events() -> str:
    """Every event: its topic, when it is published, its fields."""
    document = asyncapi_document()
    shared = set(cloudcart.Event.model_fields) | {"event_type"}
    schemas = document["components"]["schemas"]
    every = _fields(next(iter(schemas.values())), only=shared - {"event_type"})
    parts = ["## What every event has", "Beside these, `event_type` is the name of its topic.", every]
    for topic in EVENTS:
        channel = document["channels"][topic]
        schema = schemas[next(iter(channel["messages"]))]
        key = document["components"]["messages"][schema["title"]]["bindings"]["kafka"]["key"]["description"]
        parts += [f"## `{topic}`", f"{channel['summary']} Its key is {key}.", _fields(schema, without=shared)]
    letter = document["components"]["messages"]["DeadLetter"]
    headers = schemas["DeadLetterHeaders"]["properties"]
    rows = [(f"`{name}`", each.get("description", f"`{each.get('const')}`")) for name, each in headers.items()]
    parts += ["## Dead letters: `<topic>.dlq`", letter["summary"], _table("Header|Says", rows)]
    return _page(parts)


def _fields(schema: Mapping[str, Any], *, without: Iterable[str] = (), only: Iterable[str] | None = None) -> str:
    rows = [
        (f"`{name}`", _type(field), "" if name in schema["required"] else "optional")
        for name, field in schema["properties"].items()
        if name not in without and (only is None or name in only)
    ]
    return _table("Field|Type| ", rows) if rows else ""


def _type(field: Mapping[str, Any]) -> str:
    """Return a JSON Schema's type in words."""
    if "anyOf" in field:
        return " or ".join(_type(part) for part in field["anyOf"])
    if "$ref" in field:
        return f"`{field['$ref'].rpartition('/')[2]}`"
    if field.get("type") == "array":
        return f"list of {_type(field.get('items', {}))}"
    if "const" in field or "enum" in field:
        return " \\| ".join(f"`{json.dumps(value)}`" for value in field.get("enum", [field.get("const")]))
    kind = field.get("type", "anything")
    kind = " or ".join(kind) if isinstance(kind, list) else str(kind)
    return f"{kind} ({field['format']})" if "format" in field else kind


def pytest_plugin() -> str:
    """Markers, fixtures, options and their ini twins."""
    markers = [(name, *meaning.partition("): ")[::2]) for name, meaning in MARKERS.items()]
    return _page(
        [
            "## Markers",
            _table("Marker|Meaning", [(f"`{name}{takes})`", told) for name, takes, told in markers]),
            "## Fixtures",
            _table("Fixture|Gives", [(f"`{name}`", _code(told)) for name, told in _fixtures()]),
            "## Options",
            "Each has an ini twin: `--cloudcart-report-dir` is `cloudcart_report_dir` in the ini file.",
            _table("Option|Meaning", _pytest_options()),
        ]
    )


def _code(docstring: str) -> str:
    """Return what a docstring says, with code as Markdown has it."""
    return docstring.replace("``", "`")


def _fixtures() -> Iterator[tuple[str, str]]:
    from _pytest.fixtures import FixtureFunctionDefinition

    for name, value in {**vars(fixtures), **vars(target)}.items():
        if isinstance(value, FixtureFunctionDefinition) and name.startswith("cloudcart_"):
            yield name, inspect.cleandoc(value.__doc__ or "").partition("\n\n")[0]


def _pytest_options() -> Iterator[tuple[str, str]]:
    import pytest

    parser = pytest.Parser(_ispytest=True)
    plugin.pytest_addoption(parser)
    for option in parser.getgroup("cloudcart").options:
        names, metavar = ", ".join(option.names()), option.attrs().get("metavar")
        yield (
            f"`{names} {metavar}`" if metavar else f"`{names}`",
            str(option.attrs().get("help", "")).replace("%%", "%"),
        )


def public_names() -> str:
    """The public list, each name documented from its docstring."""
    kinds: dict[str, list[str]] = {"Functions": [], "Classes": [], "Values": [], "Modules": []}
    for name in cloudcart.__all__:
        value = getattr(cloudcart, name)
        kinds[_kind(value)].append(_directive(name, value))
    return _page(part for title, found in kinds.items() if found for part in (f"## {title}", *found))


_HOMES_OF_VALUES: Final = {"EVENTS": "cloudcart.events", "FAULTS": "cloudcart.faults"}


def _kind(value: object) -> str:
    if inspect.ismodule(value):
        return "Modules"
    return "Classes" if inspect.isclass(value) else "Functions" if callable(value) else "Values"


def _directive(name: str, value: object) -> str:
    if inspect.ismodule(value):
        return _autodoc("automodule", value.__name__, "members")
    if inspect.isclass(value):
        fields_are_elsewhere = issubclass(value, cloudcart.CloudCartError | cloudcart.Settings)
        return _autodoc("autoclass", f"cloudcart.{name}", *([] if fields_are_elsewhere else ["members"]))
    if callable(value):
        return _autodoc("autofunction", f"cloudcart.{name}")
    return _autodoc("autodata", f"{_HOMES_OF_VALUES[name]}.{name}", "no-value")  # where its docstring is


def _autodoc(directive: str, name: str, *options: str) -> str:
    """Return what lets Sphinx read a docstring."""
    return "\n".join(["```{eval-rst}", f".. {directive}:: {name}", *(f"   :{option}:" for option in options), "```"])


def exceptions() -> str:
    """The tree of exceptions, as its module draws it."""
    text = inspect.cleandoc(import_module("cloudcart.exceptions").__doc__ or "")
    return _fence(inspect.cleandoc(text.partition("::\n")[2]))


def run_record() -> str:
    """The fields of ``run.json``."""
    from cloudcart.report import run_schema

    schema = run_schema()
    parts = ["## Fields", _described(schema)]
    for name, part in schema["$defs"].items():
        if "properties" in part:
            parts += [f"## Each of `{name}s`", _described(part)]
    return _page(parts)


def schemas() -> str:
    """What commands print with ``--json``, field by field."""
    return _page(part for command in PROMISED for part in _shape(output_schema(command)))


def _shape(schema: Mapping[str, Any]) -> list[str]:
    """Return a heading and a table; a list is described by what it is a list of."""
    intro = "A list; each entry has" if schema.get("type") == "array" else ""
    intro = "As `up`, and:" if "allOf" in schema else intro
    return [f"## `{schema['title']}`", intro, _described(schema.get("items", schema))]


def _described(schema: Mapping[str, Any]) -> str:
    rows = [(f"`{name}`", _type(field), field.get("description", "")) for name, field in schema["properties"].items()]
    return _table("Field|Type|Meaning", rows)


GENERATED: Final[Mapping[str, Callable[[], str]]] = {
    "command-line": command_line,
    "events": events,
    "exceptions": exceptions,
    "metrics": metrics,
    "public-names": public_names,
    "pytest-plugin": pytest_plugin,
    "run-record": run_record,
    "schemas": schemas,
    "settings": settings,
    "signals": signals,
}
"""Name of a part to the function that makes it."""


def copy_notebooks(folder: Path) -> None:
    """Bring the notebooks to where Sphinx finds pages; those that are gone are gone here, too."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        shutil.copy(path, folder)


def copy_schemas(folder: Path) -> None:
    """Bring AsyncAPI and JSON Schemas to where the site offers them as files."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in [HERE / "asyncapi.json", *(ROOT / "cloudcart").rglob("*.schema.json")]:
        shutil.copy(path, folder)


def _printed(command: str) -> list[Any]:
    """Return what ``cloudcart COMMAND --json`` prints."""
    from click.testing import CliRunner

    done = CliRunner().invoke(program, [command, "--json"], catch_exceptions=False)
    found: list[Any] = json.loads(done.stdout)
    return found


def _table(heading: str, rows: Iterable[Iterable[str]]) -> str:
    head = heading.split("|")
    lines = [[cell.replace("\n", " ").replace("|", "\\|") for cell in row] for row in rows]
    if not lines:
        return ""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *lines))


def _fence(text: str) -> str:
    return f"```text\n{text.strip()}\n```"


def _page(parts: Iterable[str]) -> str:
    return "\n\n".join(part for part in parts if part)


if __name__ == "__main__":
    sys.stdout.write(GENERATED[sys.argv[1]]() + "\n")
