"""Makes ``report.html`` from a run's folder: one file that needs no network, for a browser, a printer or a mail.

Called by ``experiment`` at the end of a run and by ``cloudcart report``. What stands in the file is gathered by
``series``, put into words by ``words`` and drawn by ``charts``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cloudcart.exceptions import MissingExtraError
from cloudcart.report import tables, words
from cloudcart.report.charts import draw_all
from cloudcart.report.interval import draw_interval
from cloudcart.report.series import PHASE_NAMES, gather
from cloudcart.signals.amounts import format_amount

if TYPE_CHECKING:
    from jinja2 import Template

REPORT_FILE: Final = "report.html"
_NUMBER_AND_UNIT: Final = re.compile(r"(\d) (us|ms|s|%|B|kB|MB|GB)(?!\w)")
_TEMPLATES: Final = Path(__file__).parent


def write_report(run: Mapping[str, Any], folder: Path) -> Path:
    """Write ``report.html`` into a run's folder and return its path.

    Args:
        run: what ``run.json`` says; also of a run that did not finish.
        folder: where ``requests.parquet`` and ``signals.parquet`` are; the report leaves out what is missing.

    Raises:
        MissingExtraError: jinja2 or pyarrow is not installed.
        OSError: the folder cannot be written.
    """
    unfinished = folder / f"{REPORT_FILE}.new"
    unfinished.write_text(render_report(run, folder), encoding="utf-8")
    return unfinished.replace(folder / REPORT_FILE)


def render_report(run: Mapping[str, Any], folder: Path) -> str:
    """Return the page; see :func:`write_report`."""
    template = _template()
    figures = gather(run, folder)
    return template.render(
        run=run,
        headline=words.HEADLINES[run["verdict"]],
        counts=words.counts(run),
        open_points=words.open_points(run),
        when=words.when(run.get("started_at", "")),
        story=words.story(run, figures),
        objectives=[_objective(entry) for entry in run.get("objectives") or ()],
        invariants=run.get("invariants") or (),
        phases=figures.phases,
        slices=figures.slices,
        charts=draw_all(run, figures),
        agreements=tables.agreements(run),
        arms=tables.arms(run),
        budgets=tables.budgets(run),
        accounts=words.accounts(run, figures),
        facts=words.facts(run),
    )


@cache
def _template() -> Template:
    """Return the page's template; compiling it takes as long as filling it in."""
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
        from markupsafe import Markup
    except ImportError:
        raise MissingExtraError("jinja2", "report") from None
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(amount=format_amount, drawing=Markup, firm=_firm)
    return environment.get_template("report.html.j2")


def _firm(text: str) -> str:
    """Keep numbers and their units on one line."""
    return _NUMBER_AND_UNIT.sub("\\1\u00a0\\2", text)


def _objective(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return an objective as the table shows it."""
    unit, reading = entry.get("unit", "count"), entry.get("reading")
    phase = entry.get("phase")
    seen_by = (
        "clients"
        if entry.get("source") == "client"
        else f"{entry.get('service') or 'all services'}, {entry.get('source')}"
    )
    scope = [entry.get("route"), f"{PHASE_NAMES.get(phase, phase)} phase" if phase else "whole run"]
    error_bound = entry.get("error_bound")
    return {
        "text": entry["objective"],
        "name": entry.get("name"),
        "scope": ", ".join(part for part in scope if part),
        "seen_by": seen_by,
        "reading": format_amount(reading, unit),
        "error_bound": "exact"
        if error_bound == 0
        else f"± {format_amount(error_bound, unit)}"
        if error_bound
        else "unbounded",
        "samples": entry.get("samples") or 0,
        "verdict": entry["verdict"],
        "reason": entry.get("reason", ""),
        "drawing": _drawing(entry),
    }


def _drawing(entry: Mapping[str, Any]) -> str:
    reading, low, high, bound = (entry.get(name) for name in ("reading", "low", "high", "bound"))
    if bound is None or (reading is None and low is None):
        return ""
    good = "above" if ">" in entry["objective"] else "below"
    unit = entry.get("unit", "count")
    label = f"{format_amount(reading, unit)}, bound {format_amount(bound, unit)}"
    return draw_interval(reading, low, high, bound, good, label)
