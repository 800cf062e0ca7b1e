"""From a path to its route template: ``/products/7`` gives ``/products/{id}``.

Metrics and faults name routes by template, never by raw path, so that label values stay bounded. The stack
(``services.assemble``) resolves each request once and leaves the template in ``scope["cloudcart.route"]``. Not a
router: which handler runs is the application's business.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

UNMATCHED: Final = "unmatched"
"""What a path resolves to that no template fits."""

ROUTE: Final = "cloudcart.route"
"""The key of an ASGI scope under which the stack leaves the template."""

_PARAMETER: Final = re.compile(r"\{(\w+)(?::(\w+))?\}")


class Routes:
    """The templates of one application: a dictionary for fixed paths, regular expressions for the others.

    Among the expressions the first that fits wins, as in the router whose templates these are. A converter
    (``{id:int}``) is dropped from the name; ``{rest:path}`` spans slashes.
    """

    def __init__(self, templates: Iterable[str]) -> None:
        self._fixed: dict[str, str] = {}
        self._patterns: list[tuple[re.Pattern[str], str]] = []
        for template in dict.fromkeys(templates):
            name = _PARAMETER.sub(r"{\1}", template)
            if name == template and "{" not in template:
                self._fixed[template] = name
            else:
                self._patterns.append((_compile(template), name))

    def resolve(self, path: str) -> str:
        """Return the template that ``path`` fits, or :data:`UNMATCHED`."""
        fixed = self._fixed.get(path)
        if fixed is not None:
            return fixed
        for pattern, name in self._patterns:
            if pattern.fullmatch(path):
                return name
        return UNMATCHED

    def __iter__(self) -> Iterator[str]:
        yield from self._fixed
        yield from (name for _, name in self._patterns)


def _compile(template: str) -> re.Pattern[str]:
    pattern, end = "", 0
    for parameter in _PARAMETER.finditer(template):
        pattern += re.escape(template[end : parameter.start()])
        pattern += ".+" if parameter[2] == "path" else "[^/]+"
        end = parameter.end()
    return re.compile(pattern + re.escape(template[end:]), re.DOTALL)
