"""Load given by a real generator to a real, small shop: every request leaves an honest row, nothing is left running."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from types import SimpleNamespace

import httpx
import psutil
import pytest
from pyarrow import parquet

from cloudcart.exceptions import LoadError, UsageError
from cloudcart.load import LoadProfile, start_load
from cloudcart.load.rows import METADATA_KEY, Row

LOOK = 'self.call("GET", "/api/products", name="/api/products")'
USERS = [SimpleNamespace(user_id=i, username=f"user-{i}", token=f"token-{i}") for i in range(1, 4)]


def rows_of(load) -> list[Row]:
    return [Row(*row) for row in zip(*load.rows().values(), strict=True)]


def wait_until(condition, *, deadline=5.0) -> None:
    until = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


# An ordinary run


def test_every_arrival_leaves_its_rows(shop, give, tmp_path):
    load = give("checkout", accounts=USERS, rate=20, duration="1s", seed=3)
    load.wait()
    path = load.stop()

    rows = rows_of(load)
    assert Counter(row.step for row in rows) == dict.fromkeys(range(1, 6), 20)
    assert {row.arrival for row in rows} == set(range(1, 21))
    assert all(row.due <= row.sent <= row.done for row in rows)
    firsts = sorted(row.due for row in rows if row.step == 1)
    assert [due - load.started for due in firsts] == pytest.approx([i / 20 for i in range(20)], abs=1e-5)
    assert {row.error for row in rows} == {""}
    assert {row.name for row in rows} >= {"GET /api/products/{id}", "POST /api/orders", "POST /api/orders/{id}/pay"}

    seen = [request for request in shop.seen() if request["path"] != "/seen"]
    assert {request["x-cloudcart-request-key"] for request in seen} == {row.key for row in rows}
    assert {request["authorization"] for request in seen} == {f"Bearer {user.token}" for user in USERS}
    traces = {request["x-cloudcart-request-key"]: request["traceparent"] for request in seen}
    assert all(re.fullmatch(rf"00-{row.trace_id}-[0-9a-f]{{16}}-01", traces[row.key]) for row in rows)

    table = parquet.read_table(path)
    assert [Row(**row) for row in table.to_pylist()] == rows
    assert json.loads(table.schema.metadata[METADATA_KEY])["requests"] == 100
    assert {file.name for file in (tmp_path / "run").iterdir()} == {"requests.parquet", "generator.log"}
    assert load.report.arrivals == 20
    assert 0 <= load.lateness <= load.report.lateness_max
    assert load.doubts == []
    assert is_gone(load.pid)
    assert load.stop() == path


def test_the_same_seed_orders_the_same(shop, give):
    def ordered(seed):
        shop.forget()
        with give("checkout", accounts=USERS, rate=30, duration="500ms", seed=seed) as load:
            load.wait()
        return {r["x-cloudcart-request-key"]: r["body"] for r in shop.seen() if r["path"] == "/api/orders"}

    first = ordered(1)
    assert first == ordered(1)
    assert first != ordered(2)


def test_rows_come_while_load_is_given(give):
    with give(rate=50, duration="30s") as load:
        load.wait_for_traffic()
        before = len(load.rows()["due"])
        wait_until(lambda: len(load.rows()["due"]) > before + 20)
        assert load.running
    assert not load.running
    assert load.report.arrivals < 1000  # it was stopped, not waited for


def test_workers_share_the_arrivals_and_begin_together(shop, give, tmp_path):
    load = give("browse", rate=40, duration="1s", workers=2)
    load.wait()
    path = load.stop()
    firsts = sorted((row for row in rows_of(load) if row.step == 1), key=lambda row: row.arrival)
    assert [row.arrival for row in firsts] == list(range(1, 41))
    assert [row.due - load.started for row in firsts] == pytest.approx([i / 40 for i in range(40)], abs=1e-4)
    assert parquet.read_table(path).num_rows == len(rows_of(load)) == load.report.requests
    assert load.report.arrivals == 40
    assert all(is_gone(pid) for pid in load.pids)
    assert len(load.pids) == 2
    names = {file.name for file in (tmp_path / "run").iterdir()}
    assert names == {"requests.parquet", "generator.log", "generator-2.log", "master.log"}


def test_workers_share_the_users_of_the_closed_model(give):
    with give(users=5, pacing="100ms", duration="1s", workers=2) as load:
        load.wait()
    arrivals = [row.arrival for row in rows_of(load) if row.step == 1]
    assert len(arrivals) == len(set(arrivals))  # each visit has a number of its own, whichever worker it was
    assert load.report.visitors == 5


def test_a_worker_that_dies_ends_the_run_with_a_doubt(give):
    with give(rate=20, duration="30s", workers=2) as load:
        load.wait_for_traffic()
        os.kill(load.pids[1], signal.SIGKILL)
        wait_until(lambda: not load.running)
    assert "SIGKILL" in load.saturated
    assert all(is_gone(pid) for pid in load.pids)


@pytest.mark.parametrize("workers", [1, 2])
def test_locusts_own_page_shows_what_all_workers_do(shop, tmp_path, workers):
    profile = LoadProfile(journey="browse", rate=20, duration="60s", workers=workers)
    with start_load(profile, host=shop.url, folder=tmp_path / "run", web=0) as load:
        load.wait_for_traffic()
        page = httpx.get(load.web, timeout=10)
        assert page.status_code == 200
        assert "Locust" in page.text
        wait_until(lambda: httpx.get(f"{load.web}/stats/requests", timeout=10).json()["total_rps"] > 0, deadline=30)


def test_the_closed_model_has_no_due_times(give):
    with give(users=3, pacing="100ms", duration="1s") as load:
        load.wait()
    rows = rows_of(load)
    assert all(row.due == row.sent for row in rows)
    assert 3 * 3 <= sum(row.step == 1 for row in rows) <= 3 * 11
    assert load.lateness is None
    assert load.doubts == []


def test_stages_and_independent_arrivals(give):
    with give(stages=[("500ms", 10), ("500ms", 60)], arrivals="poisson", seed=5) as load:
        load.wait()
    due = [row.due - load.started for row in rows_of(load) if row.step == 1]
    slow, fast = (sum(start <= moment < start + 0.5 for moment in due) for start in (0, 0.5))
    assert 0 < slow < fast


def test_without_prepared_users_a_few_are_registered_before_the_clock_starts(shop, give):
    with give("checkout", rate=5, duration="400ms") as load:
        load.wait()
    registered = [request for request in shop.seen() if request["path"] == "/api/auth/register"]
    assert len(registered) == 20
    assert "POST /api/auth/register" not in load.rows()["name"]
    assert {row.error for row in rows_of(load)} == {""}


# What goes wrong on the way


def test_a_stall_is_seen_in_the_open_model_and_hidden_in_the_closed(shop, give, write_journey):
    def p90(**profile):
        with give(write_journey(LOOK), duration="2s", **profile) as load:
            load.wait("500ms")
            shop.behave(stall=0.8)
            load.wait()
        waits = sorted(row.done - row.due for row in rows_of(load))
        return waits[9 * len(waits) // 10]

    assert p90(rate=50) > 0.3 > p90(users=3, pacing="60ms")


@pytest.mark.parametrize(
    ("behaviour", "profile", "status", "error"),
    [
        ({"status": 503}, {}, 503, "HTTP 503"),
        ({"cut": True}, {}, 0, "no whole answer: Incomplete response."),
        ({"delay": 1.0}, {"timeout": "200ms"}, 0, "no answer within 200ms"),
    ],
)
def test_a_bad_answer_is_a_row_and_ends_the_visit(shop, give, behaviour, profile, status, error):
    shop.behave(on="GET /api/products$", **behaviour)
    with give(rate=10, duration="500ms", **profile) as load:
        load.wait()
    rows = rows_of(load)
    assert [(row.step, row.status, row.error) for row in rows] == [(1, status, error)] * 5
    assert load.doubts == []
    assert sum(request["path"] == "/api/products" for request in shop.seen()) == 5  # nothing was tried again


def test_a_redirect_is_not_followed(shop, give, write_journey):
    shop.behave(on="GET /api/products$", status=302, location="/elsewhere")
    with give(write_journey(LOOK), rate=10, duration="200ms") as load:
        load.wait()
    assert load.rows()["status"] == [302, 302]
    assert {request["path"] for request in shop.seen()} == {"/api/products"}


def test_marks_of_faults_are_kept(shop, give):
    shop.behave(on="GET /api/products$", status=404, marks=["fault-1, fault-2", "fault-3"])
    with give(rate=10, duration="300ms") as load:
        load.wait()
    assert set(load.rows()["fault_ids"]) == {"fault-1,fault-2,fault-3"}
    assert load.doubts == []  # a refusal that a fault made is no surprise


def test_expected_refusals_go_on_and_others_raise_a_doubt(shop, give):
    shop.behave(on="POST /api/orders$", status=409)
    with give("checkout", accounts=USERS, rate=10, duration="300ms") as load:
        load.wait()
    assert Counter(load.rows()["name"])["GET /api/orders/my-orders"] == 3
    assert load.doubts == []
    shop.behave(on="POST /api/orders$", status=401)
    with give("checkout", accounts=USERS, rate=10, duration="300ms") as load:
        load.wait()
    assert set(load.rows()["error"]) == {""}  # a refusal is an answer
    assert load.doubts == [
        "3 of 9 requests were refused: 401 POST /api/orders (3); name in refusals= what a step expects"
    ]


def test_requests_under_way_at_the_end_are_recorded_as_unanswered(shop, give):
    shop.behave(on="GET /api/products$", delay=20)
    with give(rate=20, duration="30s", max_visitors=5) as load:
        wait_until(lambda: sum(r["path"] == "/api/products" for r in shop.seen()) == 5)
        load.wait("200ms")
        load.stop(drain="100ms")
    errors = Counter(load.rows()["error"])
    assert errors["unanswered when the load ended"] == 5
    assert errors["never sent: every visitor was busy until the load ended"] == load.report.arrivals - 5 > 0
    assert "found all 5 visitors busy; raise max_visitors" in load.saturated
    assert load.report.unanswered == load.report.arrivals == len(rows_of(load))


def test_a_closed_user_under_way_at_the_end_is_recorded_too(shop, give):
    shop.behave(on="GET /api/products$", delay=20)
    with give(users=3, duration="30s") as load:
        wait_until(lambda: sum(r["path"] == "/api/products" for r in shop.seen()) == 3)
        load.stop(drain="100ms")
    assert load.rows()["error"] == ["unanswered when the load ended"] * 3


def test_time_between_steps_is_not_waiting_for_an_answer(give, write_journey):
    visit = 'self.call("GET", "/api/products", name="/a")\nself.pause(2)\nself.call("GET", "/api/products", name="/b")'
    with give(write_journey(visit), rate=5, duration="200ms") as load:
        load.wait()
    (first, second) = rows_of(load)
    assert second.sent > first.done + 1.9
    assert second.done - second.due < 1.9


# What cannot work


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("import nothing_of_this_name", r"mine\.py cannot be imported: line 1: ModuleNotFoundError: No module named"),
        ("\nclass Mine(:\n", r"mine\.py cannot be imported: line 2: SyntaxError: "),
        ("x = 1", r"mine\.py: no class here inherits cloudcart\.load\.Journey"),
        (
            "from cloudcart.load import Journey\nclass A(Journey): ...\nclass B(Journey): ...",
            r"one journey per file, please, not 2 \(A, B\)",
        ),
        ("raise SystemExit(3)", r"mine\.py cannot be imported: line 1: SystemExit: 3"),
    ],
)
def test_a_journey_that_cannot_be_used_is_refused_in_one_sentence(give, tmp_path, file, message):
    (tmp_path / "mine.py").write_text(file)
    with pytest.raises(UsageError, match=message) as refused:
        give(tmp_path / "mine.py", rate=5)
    assert "\n" not in str(refused.value)


def test_a_journey_that_breaks_off_raises_a_doubt(give, write_journey):
    visit = 'products = self.call("GET", "/api/products", name="/api/products").json()\nproducts["missing"]'
    with give(write_journey(visit), rate=10, duration="400ms") as load:
        load.wait()
    assert len(rows_of(load)) == 4
    (doubt,) = load.doubts
    assert doubt.startswith("the journey broke off 4 of 4 visits: mine.py line 7: TypeError: list indices")


def test_an_admins_journey_needs_the_admins_token(give):
    with pytest.raises(UsageError, match=r"admin\.py is an admin's journey; hand in admin_token"):
        give("admin", rate=5)


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ("http://shop.example.com", "shop.example.com is not this machine; allow_remote=True"),
        ("http://192.0.2.1:3000", "192.0.2.1 is not this machine"),
        ("http://127.0.0.1.example.com", "is not this machine"),
        ("127.0.0.1:3000", "a base URL like"),
        ("ftp://127.0.0.1", "a base URL like"),
    ],
)
def test_load_goes_to_this_machine_only(host, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        start_load(LoadProfile(journey="browse", rate=1), host=host, folder=tmp_path)


def test_nobody_at_home(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    host = f"http://127.0.0.1:{port}"
    profile = LoadProfile(journey="browse", rate=20)
    with (
        start_load(profile, host=host, folder=tmp_path) as load,
        pytest.raises(
            LoadError, match=r"no request was answered within 0\.5s .*connection refused; check that the shop"
        ),
    ):
        load.wait_for_traffic("500ms")
    with pytest.raises(LoadError, match=rf"{host} registers no user \(connection refused\); start the shop"):
        start_load(LoadProfile(journey="checkout", rate=5), host=host, folder=tmp_path)


# Sudden ends


def test_a_killed_generator_is_noticed_and_its_rows_are_kept(give):
    load = give(rate=50, duration="30s")
    load.wait_for_traffic()
    os.kill(load.pid, signal.SIGKILL)
    with pytest.raises(LoadError, match="the load generator was killed by SIGKILL"):
        load.wait("10s")
    assert not load.running
    assert parquet.read_table(load.stop()).num_rows == len(rows_of(load)) > 0
    assert "was killed by SIGKILL" in load.saturated


PARENT = """
import sys
from pathlib import Path
from cloudcart.load import LoadProfile, start_load
profile = LoadProfile(journey=sys.argv[1], rate=20, duration="60s")
load = start_load(profile, host=sys.argv[2], folder=Path(sys.argv[3]))
print(load.pid, flush=True)
load.wait()
"""


@pytest.mark.parametrize("visit", [LOOK, "while True: pass"])
def test_a_generator_ends_with_its_parent(shop, write_journey, tmp_path, visit):
    command = [sys.executable, "-c", PARENT, str(write_journey(visit)), shop.url, str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        generator = int(parent.stdout.readline())
        parent.kill()
    wait_until(lambda: is_gone(generator), deadline=1.0)


def test_an_exception_in_the_block_ends_it_at_once(shop, give):
    shop.behave(on="GET", delay=20)
    load = give(rate=20, duration="30s")
    began = time.monotonic()
    with pytest.raises(ZeroDivisionError), load:
        _ = 1 / 0
    assert time.monotonic() - began < 3  # visits under way were not waited for
    assert is_gone(load.pid)


def test_the_parent_stays_clean(tmp_path):
    code = (
        "import sys, cloudcart.load as l; l.start_load, l.LoadProfile; print({'gevent', 'locust'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
