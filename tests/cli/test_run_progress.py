"""What a run shows while it goes on."""

from __future__ import annotations

import io
import time
from types import SimpleNamespace

import pytest
from rich.console import Console

from cloudcart.cli.run_progress import Figures, RunProgress


def rows(*requests):
    """Columns of requests given as (due, done, error)."""
    columns = list(zip(*requests, strict=True)) or [(), (), ()]
    return {"due": list(columns[0]), "done": list(columns[1]), "error": list(columns[2])}


def just_done(*durations):
    """Requests that took so long, and were done when somebody looks."""
    now = time.time()
    return rows(*((now - duration, now, "") for duration in durations))


def progress(phase, *, load=None, active=(), elapsed=1.0, total=10.0):
    return SimpleNamespace(phase=phase, elapsed=elapsed, total=total, load=load, active=active)


def test_figures_are_of_the_window_only():
    seen = rows((0.0, 0.9, "late"), (8.0, 8.1, ""), (8.5, 9.0, ""), (9.0, 9.2, "500"), (9.1, 9.3, ""))
    figures = Figures.of(seen, since=8.0, until=10.0)
    assert figures.rate == 2.0
    assert figures.p99 == pytest.approx(0.5)
    assert figures.errors == 0.25
    assert str(figures) == "2 requests/s, p99 500 ms, errors 25.0%"


def test_no_request_is_no_division_by_zero():
    assert str(Figures.of(rows(), 0.0, 0.0)) == "0 requests/s, p99 -, errors 0.0%"


def test_off_a_terminal_each_phase_is_a_line():
    written = io.StringIO()
    load = SimpleNamespace(rows=lambda: just_done(0.02, 0.04))
    with RunProgress({"fault": "it acts"}, screen=Console(file=written, width=100)) as show:
        for phase in ("start", "load"):
            show(progress(phase))
        for phase in ("steady", "steady", "fault", "fault", "", "recovery"):
            show(progress(phase, load=load, active=("+80ms on products",) if phase == "fault" else ()))
    lines = [line.rstrip() for line in written.getvalue().splitlines()]
    assert lines[:3] == ["start", "load", "steady"]
    assert "p99 40 ms" in lines[3]
    assert lines[4:6] == ["fault     it acts", "          +80ms on products"]
    assert "p99 40 ms" in lines[6]
    assert lines[7:] == ["recovery"]


def test_a_terminal_gets_a_bar_with_figures_and_faults():
    written = io.StringIO()
    load = SimpleNamespace(rows=lambda: just_done(0.02))
    with RunProgress(screen=Console(file=written, width=100, force_terminal=True)) as show:
        show(progress("start"))
        show(progress("fault", load=load, active=("+80ms on products",), elapsed=4.0))
    text = written.getvalue()
    assert "6 s left" in text
    assert "p99 20 ms" in text
    assert "+80ms on products" in text
