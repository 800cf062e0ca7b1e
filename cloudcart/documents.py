"""Documents that people write, in YAML, TOML or JSON: plain values, and where in the file each of them stands.

Not what they mean: readers (``experiment.document``, the command line) say what is wrong with a value, and
:class:`Document` adds file, line and field to the sentence. YAML is read by the 1.2 rules, so ``off`` is text.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from cloudcart.exceptions import UsageError

if TYPE_CHECKING:
    import yaml

Field: TypeAlias = tuple[str | int, ...]
"""Where a value is: ``("faults", 1, "probability")``, written ``faults[1].probability``."""

SUFFIXES: Final = (".yaml", ".yml", ".toml", ".json")
_MOST_VALUES: Final = 10_000  # aliases of YAML can make a small file mean a very large value
_DEEPEST: Final = 20
_LINE_BREAKS: Final = re.compile("[\x85\u2028\u2029\ufeff]")  # which YAML 1.1 folds away unless they are escaped
_SCALARS: Final = (
    ("bool", r"(true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"[-+]?[0-9]+$", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$", list("-+.0123456789")),
    ("null", r"(~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("merge", "<<$", ["<"]),
)
"""What plain scalars of YAML 1.2's core schema mean if they are no text, and the characters that those begin with."""


class Place(NamedTuple):
    """A line and a column, both from 1."""

    line: int
    column: int


def field_text(field: Field) -> str:
    """Return ``faults[1].probability`` for a field."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in field)
    return "".join(parts).removeprefix(".")


@dataclass(frozen=True)
class Document:
    """A document's values, and its text for finding them again."""

    path: Path
    text: str
    values: dict[str, Any]

    def error(self, message: str, field: Field = ()) -> UsageError:
        """Return the error that says where ``message`` is about: file, line, and the field if it is one."""
        place = self.place(field)
        line = f", line {place.line}" if place else ""
        name = f", {field_text(field)}" if field else ""
        return UsageError(f"{self.path.name}{line}{name}: {message}")

    @contextmanager
    def blame(self, field: Field = ()) -> Iterator[None]:
        """Say of an error in the block where it is. A message that begins with a field inside of it names that."""
        try:
            yield
        except UsageError as error:
            raise self.error(*self._inner(str(error), field)) from None

    def place(self, field: Field) -> Place | None:
        """Return where a field stands, or the nearest one around it; None for the document as a whole."""
        while field and field not in self._places:
            field = field[:-1]
        return self._places[field] if field else None

    def _inner(self, message: str, field: Field) -> tuple[str, Field]:
        head, colon, rest = message.partition(": ")
        inner = (*field, *(int(part) if part.isdigit() else part for part in head.split(".")))
        around = self.get(field)
        known = isinstance(around, Mapping) and colon and " " not in head
        return (rest, inner) if known else (message, field)

    def get(self, field: Field) -> Any:
        """Return the value of a field; None where there is none."""
        value: Any = self.values
        for part in field:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    @cached_property
    def _places(self) -> dict[Field, Place]:
        return _toml_places(self.text) if self.path.suffix == ".toml" else _yaml_places(self.path, self.text)


def read_document(path: Path) -> Document:
    """Read a file that holds one mapping.

    Raises:
        UsageError: it cannot be read, is of another kind, breaks the rules of its kind, or holds something else.
    """
    if path.suffix not in SUFFIXES:
        raise UsageError(f"{path}: a document's name ends in .yaml, .yml, .toml or .json")
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path.name}: this is no text in UTF-8") from None
    values = _values(path, text)
    if not isinstance(values, dict):
        raise UsageError(f"{path.name}, line 1: a document holds names and values, as 'name: value'")
    return Document(path, text, values)


def _values(path: Path, text: str) -> Any:
    try:
        if path.suffix == ".toml":
            return tomllib.loads(text)
        if path.suffix == ".json":
            return json.loads(text)
    except tomllib.TOMLDecodeError as error:
        what, _, where = str(error).removesuffix(")").rpartition(" (at ")
        where = where.replace("end of document", f"line {max(1, len(text.splitlines()))}")
        raise UsageError(f"{path.name}, {where}: {what}") from None
    except json.JSONDecodeError as error:
        raise UsageError(f"{path.name}, line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise UsageError(f"{path.name}: this is nested too deeply") from None
    return _yaml_values(path, text)


def _yaml_loader(text: str) -> yaml.SafeLoader:
    """Return a loader that knows the scalars of YAML 1.2's core schema: no ``off``, no dates, no ``1:30``."""
    import yaml

    class Loader(yaml.SafeLoader):
        yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - as in the class that it inherits from

    for name, pattern, begins in _SCALARS:
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{name}", re.compile(pattern), begins)
    return Loader(text)


def write_yaml(document: Mapping[str, Any], *, heading: str = "") -> str:
    """Return YAML that is read as the same document, here and by readers of YAML 1.1, below lines of comment."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Quotes what either version would take for something else than text."""

    for name, pattern, begins in _SCALARS:
        Dumper.add_implicit_resolver(f"tag:yaml.org,2002:{name}", re.compile(pattern), begins)
    Dumper.add_representer(
        str,
        lambda dumper, text: dumper.represent_scalar(
            "tag:yaml.org,2002:str", text, style='"' if _LINE_BREAKS.search(text) else None
        ),
    )
    comment = "".join(f"# {line}".rstrip() + "\n" for line in heading.splitlines())
    return comment + yaml.dump(dict(document), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=110)


def _yaml_values(path: Path, text: str) -> Any:
    import yaml

    loader = None
    try:
        loader = _yaml_loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        for _ in _entries(node, path):  # before values are made of it: it may be too much
            continue
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UsageError(f"{path.name}{where}: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise UsageError(f"{path.name}: {error}") from None
    finally:
        if loader is not None:
            loader.dispose()


def _yaml_places(path: Path, text: str) -> dict[Field, Place]:
    import yaml

    loader = _yaml_loader(text.replace("\t", " ") if path.suffix == ".json" else text)
    try:
        node = loader.get_single_node()
        found = {} if node is None else dict(_entries(node, path))
    except (yaml.YAMLError, UsageError):  # JSON that is no YAML: the field has to be enough
        return {}
    finally:
        loader.dispose()
    return found


def _entries(root: yaml.Node, path: Path) -> Iterator[tuple[Field, Place]]:
    """Yield every field of a YAML node with its place.

    Raises:
        UsageError: a name comes twice, or the document is larger than one that a person wrote.
    """
    waiting: list[tuple[Field, yaml.Node]] = [((), root)]
    seen = 0
    while waiting:
        field, node = waiting.pop()
        for name, child, mark in _children(node, path):
            seen += 1
            if seen > _MOST_VALUES or len(field) > _DEEPEST:
                raise UsageError(f"{path.name}: this is larger, or nested deeper, than a document of this kind can be")
            inner = (*field, name)
            yield inner, Place(mark.line + 1, mark.column + 1)
            waiting.append((inner, child))


def _children(node: yaml.Node, path: Path) -> Iterator[tuple[str | int, yaml.Node, yaml.Mark]]:
    import yaml

    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield index, item, item.start_mark
    elif isinstance(node, yaml.MappingNode):
        names: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in names:
                raise UsageError(f"{path.name}, line {key.start_mark.line + 1}: {name} is given twice")
            names.add(name)
            yield name, value, key.start_mark


def _toml_places(text: str) -> dict[Field, Place]:
    """Find where fields of a TOML document stand: in the first line with which the text so far holds them.

    ``tomllib`` tells no positions. Inside an array over several lines the text so far is closed by brackets.
    """
    lines = text.splitlines()
    found: dict[Field, Place] = {}
    for count, line in enumerate(lines, start=1):
        for field in _fields(_parsed_so_far("\n".join(lines[:count]))):
            if field not in found:
                name = next((part for part in reversed(field) if isinstance(part, str)), "")
                found[field] = Place(count, max(line.find(name), 0) + 1)
    return found


def _parsed_so_far(text: str) -> dict[str, Any]:
    for closing in ("", "\n]", "\n]]", "\n]]]"):
        try:
            return tomllib.loads(text + closing)
        except tomllib.TOMLDecodeError:
            continue
    return {}


def _fields(value: Any, around: Field = ()) -> Iterator[Field]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        yield (*around, name)
        yield from _fields(inner, (*around, name))
