"""A report as people meet it: opened from a file in a real browser without a network, on a desk, a phone, on paper.

Not collected by default, since it needs a browser: ``nox -s browser`` runs it and fails where there is none (``apt-get
install chromium``, or the path of one in ``CLOUDCART_CHROMIUM``). ``nox -s browser -- --save`` makes the picture in the
README anew.
"""

from __future__ import annotations

import os
import runpy
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

from cloudcart import Run
from cloudcart.report import write_report

ROOT = Path(__file__).parent.parent
RUNS = ROOT / "notebooks" / "runs"
NAMES = ("orders_with_retries", "orders_without_retries", "stall_under_closed_load")
"""A run that passed, one that failed, one without a verdict."""
FULL = "full"
"""A made-up run in which nothing is missing that a report can show."""

CONTRASTS = """() => {
    const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
    const luminance = colour => {
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map(it => it / 255)
            .map(it => it <= 0.04045 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const paper = luminance(getComputedStyle(document.body).backgroundColor);
    return Object.fromEntries([...document.querySelectorAll("svg text")].map(it => {
        const [low, high] = [luminance(getComputedStyle(it).fill), paper].sort((a, b) => a - b);
        return [it.getAttribute("class"), (high + 0.05) / (low + 0.05)];
    }));
}"""
"""The contrast (WCAG 2, 1.4.3) of each kind of text in charts, which axe does not look at."""

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@contextmanager
def started():
    """A browser."""
    program = os.environ.get("CLOUDCART_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    assert program, "there is no browser; run: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def chromium():
    """One browser for all tests."""
    with started() as browser:
        yield browser


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Fresh reports of recorded runs."""
    made = {}
    for name in NAMES:
        folder = shutil.copytree(RUNS / name, tmp_path_factory.mktemp("runs") / name)
        made[name] = write_report(Run.load(folder).record, folder)
    folder = tmp_path_factory.mktemp("runs")
    record = runpy.run_path(str(ROOT / "tests" / "report" / "conftest.py"))["record"]
    made[FULL] = write_report(record(folder, broken_errors=0.08).run, folder)
    return made


@pytest.fixture
def opened(chromium, reports):
    """Open a report: ``opened(name, theme, width)``; at the end nothing may have gone wrong or been asked for."""
    contexts, complaints = [], []

    def open_report(name, theme="light", width=1280):
        context = chromium.new_context(color_scheme=theme, viewport={"width": width, "height": 800}, offline=True)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: request.is_navigation_request() or complaints.append(request.url))
        page.goto(reports[name].as_uri())
        return page

    yield open_report
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.mark.parametrize("name", NAMES)
def test_the_verdict_and_the_claim_are_what_one_sees_first(opened, name):
    page = opened(name)
    run = Run.load(RUNS / name)
    assert page.locator("h1").inner_text() == run.record["claim"]
    assert page.locator("header .verdict").inner_text().lower() == run.verdict
    assert page.locator("header").bounding_box()["y"] < 100
    assert page.locator("svg.chart").count() >= 5
    assert page.locator("svg.chart .fault").count() >= 5


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", [*NAMES, FULL])
def test_it_is_accessible(opened, name, theme):
    results = Axe().run(opened(name, theme), options=RULES)
    assert len(results.response["passes"]) > 20  # the rules were applied
    assert results.violations_count == 0, results.generate_report()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_is_written_in_charts_can_be_read(opened, theme):
    contrasts = opened(FULL, theme).evaluate(CONTRASTS)
    assert len(contrasts) >= 10
    assert {kind: round(ratio, 2) for kind, ratio in contrasts.items() if ratio < 4.5} == {}


def test_the_themes_differ(opened):
    colours = {
        opened(NAMES[0], theme).evaluate("getComputedStyle(document.body).backgroundColor")
        for theme in ("light", "dark")
    }
    assert len(colours) == 2


@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("name", [*NAMES, FULL])
def test_nothing_scrolls_sideways(opened, name, width):
    page = opened(name, width=width)
    page.locator("details").evaluate_all("all => all.forEach(it => it.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_pointing_at_a_chart_shows_numbers(opened):
    told = opened(NAMES[0]).locator("svg.chart .slice title").first.text_content()
    assert "requests" in told


def test_it_prints_on_few_pages(opened):
    printed = opened(NAMES[0]).pdf(format="A4")
    assert 1 <= printed.count(b"/Type /Page\n") <= 4


def save_picture():
    """Make the README's picture: how a report begins."""
    with tempfile.TemporaryDirectory() as folder, started() as browser:
        run = Path(shutil.copytree(RUNS / "orders_with_retries", Path(folder) / "run"))
        page = browser.new_page(viewport={"width": 1180, "height": 1330})
        page.goto(write_report(Run.load(run).record, run).as_uri())
        page.screenshot(path=ROOT / "docs" / "report.png")


if __name__ == "__main__":
    save_picture()
