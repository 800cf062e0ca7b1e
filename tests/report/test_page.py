"""The page as a reader, a screen reader and a machine without a network get it."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest

from cloudcart.report import write_report

VOID = {"meta", "br", "link", "img", "hr", "input"}
SVG_EMPTY = {"line", "rect", "circle", "path"}


class Page(HTMLParser):
    """Collects tags and text; fails on tags that are not closed as they were opened."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.words = [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))


def page_of(recorded):
    return Page(write_report(recorded.run, recorded.folder).read_text())


def test_the_report_says_verdict_claim_story_and_figures(recorded):
    run = recorded(broken_errors=0.08)
    text = page_of(run).text
    assert run.run["verdict"] == "fail"
    for said in (
        "Check-out goes on while the product service answers slowly.",
        "The claim does not hold: 7 of 9 objectives and 4 of 4 invariants held.",
        "40 visits a second arrived for the journey 'checkout'",
        "From 8.0 s to 18.0 s, +80ms on products (with a probability of 30 %): it hit",
        "after the last heal it was as good as before",
        "errors < 1%",
        "too few samples for p99.9: 800, and it takes 2,995",
        "limited by first=20",
        "as declared",
        "one payment per order",
        "pytest scenarios/test_orders_survive_slow_products.py --cloudcart-seed 7",
        "cloudcart 0.1.0",
        "2 cores",
    ):
        assert said in text


def test_a_run_without_a_verdict_says_why_at_the_top(recorded):
    text = page_of(recorded(saturated="it used 97% of a core")).text
    assert text.index("Why there is no verdict") < text.index("What happened")
    assert "the load generator was the bottleneck: it used 97% of a core" in text


def test_the_page_is_one_file_that_needs_no_network(recorded):
    run = recorded()
    html = write_report(run.run, run.folder).read_text()
    tags = Page(html).tags
    assert not {"script", "link", "img", "iframe", "object", "audio", "video"} & {tag for tag, _ in tags}
    assert not [attributes for _, attributes in tags if {"src", "href", "srcset", "xlink:href"} & set(attributes)]
    assert not re.search(r"url\(|@import|https?://", html)
    assert [path.name for path in run.folder.glob("*.html*")] == ["report.html"]


def test_charts_and_tables_have_names_for_those_who_do_not_see_them(recorded):
    page = page_of(recorded())
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    drawings = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert len(drawings) == 12 + 9  # charts, and an interval for each objective
    assert all(attributes["role"] == "img" for attributes in drawings)
    charts = [attributes["aria-labelledby"].split() for attributes in drawings if "aria-labelledby" in attributes]
    assert len(charts) == 12
    assert {name for names in charts for name in names} <= set(ids)
    assert all("scope" in attributes for tag, attributes in page.tags if tag == "th")
    assert "The highest p99 is" in page.text


def test_every_theme_defines_every_colour(recorded):
    run = recorded()
    html = write_report(run.run, run.folder).read_text()
    style = html[html.index("<style>") : html.index("</style>")]
    light, dark = (
        set(re.findall(r"(--[\w-]+):", block)) for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL)[:2]
    )
    assert light == dark
    assert set(re.findall(r"var\((--[\w-]+)\)", style)) <= light | {"--tone", "--wash", "--c"}


def test_what_a_run_says_is_text_and_never_markup(recorded):
    run = recorded()
    evil = "<script>alert(1)</script>"
    run.run["claim"] = run.run["name"] = run.run["command"] = evil
    run.run["notes"] = [evil]
    for fault in run.run["faults"]:
        fault["label"] = evil
    for objective in run.run["objectives"]:
        objective["reason"] = objective["name"] = evil
    html = write_report(run.run, run.folder).read_text()
    assert evil not in html
    assert "&lt;script&gt;" in html
    Page(html)


def test_a_run_that_did_not_finish_has_a_report(tmp_path):
    run = {
        "schema_version": 1,
        "name": "broken off",
        "claim": "",
        "verdict": "inconclusive",
        "seed": 0,
        "started_at": "2025-10-09T08:53:20.000Z",
        "seconds": 0.0,
        "directory": str(tmp_path),
        "command": "",
        "versions": {},
        "machine": {},
        "settings": {},
        "load": None,
        "phases": [],
        "objectives": [],
        "faults": [],
        "invariants": [],
        "generator": None,
        "recovery_seconds": None,
        "notes": ["the run did not finish"],
    }
    text = Page(write_report(run, tmp_path).read_text()).text
    assert "No verdict is possible: nothing was checked." in text
    assert "the run did not finish" in text
    assert "Nothing was broken: this run is a control." in text


def test_what_an_objective_names_has_a_chart_with_its_bound(recorded):
    run = recorded()
    html = write_report(run.run, run.folder).read_text()
    text = Page(html).text
    for title in (
        "Latency: POST /api/orders",
        "Latency: GET /api/products at products",
        "Saturation: outbox",
        "Saturation: dead letters",
    ):
        assert title in text
    charts = {
        found[1]: found[0] for found in re.finditer(r'<svg class="chart".*?<title [^>]*>(.*?)</title>.*?</svg>', html)
    }
    assert "p99 &lt; 2s" in charts["Latency: POST /api/orders"]
    assert "outbox &lt; 50" in charts["Saturation: outbox"]
    assert "notifications up to 2." in charts["Saturation: dead letters"], "they are added up"


@pytest.mark.parametrize("signal", ["outbox", "dead_letters"])
def test_what_only_some_runs_are_about_is_shown_only_there(recorded, signal):
    run = recorded()
    run.run["objectives"] = [it for it in run.run["objectives"] if not it["objective"].startswith(signal)]
    assert f"Saturation: {signal.replace('_', ' ')}" not in page_of(run).text


def test_memory_pool_and_event_loop_are_shown_of_every_run(recorded):
    text = page_of(recorded()).text
    for title in ("CPU", "memory", "event-loop lag", "connection pool", "consumer lag"):
        assert f"Saturation: {title}" in text


def test_the_readings_of_clients_gateway_and_service_stand_side_by_side(recorded):
    text = page_of(recorded()).text
    assert "p99 POST /api/orders, fault phase 412 ms 405 ms 398 ms (orders) agree" in text
    assert "3.1 % 0 % no one service disagree clients and gateway disagree on errors" in text
    assert "8 ms (products) other requests products answered 10/s" in text


def test_the_arms_stand_side_by_side_with_the_interval_of_their_difference(recorded):
    text = page_of(recorded()).text
    assert "mean 14 ms 52 ms 38 ms 30 ms to 53.2 ms 320 and 1,280 worse" in text
    assert "p99 60 ms 410 ms 350 ms unbounded 320 and 1,280 no difference shown" in text


def test_an_error_budget_says_what_was_spent_and_how_fast(recorded):
    text = page_of(recorded()).text
    budget = "99 % of requests without error 3,680 128 348 % steady 0, fault 8 34.5 min of 2h"
    assert budget in text.replace("\u00a0", " ")


def test_a_run_without_arms_or_budgets_has_no_such_tables(recorded):
    run = recorded()
    for name in ("agreement", "arms", "budgets"):
        del run.run[name]
    assert not {"Who read what", "Control arm", "Error budget"} & set(page_of(run).words)


@pytest.mark.parametrize("missing", ["requests.parquet", "signals.parquet"])
def test_what_was_not_recorded_is_left_out(recorded, missing):
    run = recorded()
    (run.folder / missing).unlink()
    page = page_of(run)
    charts = [attributes for tag, attributes in page.tags if attributes.get("class") == "chart"]
    assert len(charts) == {"requests.parquet": 8, "signals.parquet": 4}[missing]


def test_the_report_is_made_again_from_the_folder_alone(recorded):
    run = recorded()
    first = write_report(run.run, run.folder).read_text()
    again = write_report(json.loads((run.folder / "run.json").read_text()), run.folder).read_text()
    assert first == again
