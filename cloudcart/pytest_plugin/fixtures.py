"""The fixtures: a running shop, clients for it, load, faults, events, and whole scenarios.

Each is a few lines over ``lab``, ``load`` and ``experiment``, which are imported when a test first asks. The shop is
started once a session and healed and reset around each test; a test that needs other settings gets a shop of its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cloudcart.exceptions import CloudCartError, UnsupportedError
from cloudcart.pytest_plugin import coverage, plugin
from cloudcart.pytest_plugin.cases import report_cases
from cloudcart.pytest_plugin.markers import MARKERS
from cloudcart.pytest_plugin.options import flag, number, report_dir, setting, shop_settings, whole
from cloudcart.pytest_plugin.session_lab import SessionLab
from cloudcart.pytest_plugin.timing import Stopwatch, load_seconds
from cloudcart.pytest_plugin.turn import Turn

if TYPE_CHECKING:
    import httpx

    from cloudcart.chaos.client import ControlPlane
    from cloudcart.experiment import Experiment, Run
    from cloudcart.lab import Lab
    from cloudcart.lab.event_tap import EventTap
    from cloudcart.lab.invariants import Invariants
    from cloudcart.load import Generators, LoadRun
    from cloudcart.signals import Signals

    LoadFactory = Callable[..., Any]


@pytest.fixture(scope="session")
def cloudcart_backend(request: pytest.FixtureRequest) -> str:
    """Where the shop runs: ``--cloudcart-backend``; override this fixture to choose for a whole suite."""
    return "external" if setting(request.config, "url") else setting(request.config, "backend")


@pytest.fixture(scope="session")
def cloudcart_settings() -> dict[str, str]:
    """Settings of the shop for this session; override this fixture to change them for a whole suite."""
    return {}


@pytest.fixture(scope="session")
def cloudcart_seed(request: pytest.FixtureRequest) -> int:
    """What chooses the requests that faults hit: ``--cloudcart-seed``; may be overridden."""
    return whole(request.config, "seed")


@pytest.fixture(scope="session")
def cloudcart_time_scale(request: pytest.FixtureRequest) -> float:
    """How many times faster SLO periods and burn-rate windows run: ``--cloudcart-time-scale``; may be overridden."""
    return number(request.config, "time_scale", least=0.001)


@pytest.fixture(scope="session")
def cloudcart_report_dir(request: pytest.FixtureRequest) -> Path:
    """Where run folders are made: ``--cloudcart-report-dir``; may be overridden."""
    return report_dir(request.config)


@pytest.fixture(scope="session")
def cloudcart_turn(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Turn:
    """The right to give load: under pytest-xdist, one worker at a time."""
    among_others = hasattr(request.config, "workerinput")
    return Turn(tmp_path_factory.getbasetemp().parent / "cloudcart-turn" if among_others else None)


@pytest.fixture(scope="session")
def cloudcart_session(
    request: pytest.FixtureRequest, cloudcart_backend: str, cloudcart_turn: Turn
) -> Iterator[SessionLab]:
    """The session's lab, not started before it is needed, ended with the session."""
    session = SessionLab(request.config, cloudcart_backend, cloudcart_turn)
    try:
        yield session
    finally:
        session.close()


@pytest.fixture(scope="session")
def cloudcart_generators() -> Iterator[Generators]:
    """Where the load generators of the session's scenarios come from."""
    from cloudcart.load import Generators

    with Generators() as generators:
        yield generators


@pytest.fixture
def cloudcart_repetition(request: pytest.FixtureRequest) -> int:
    """Which repetition of its scenario a test is, from 0; see ``--cloudcart-repeat``."""
    return int(getattr(request, "param", 0))


@pytest.fixture
def cloudcart_experiment(
    request: pytest.FixtureRequest,
    cloudcart_settings: dict[str, str],
    cloudcart_seed: int,
    cloudcart_time_scale: float,
    cloudcart_repetition: int,
) -> Experiment:
    """The experiment that the test's markers describe."""
    from cloudcart.experiment.scenario import experiment_from_markers, first_sentence

    with _clear_errors():
        return experiment_from_markers(
            getattr(request.node, "originalname", request.node.name).removeprefix("test_"),
            first_sentence(inspect.getdoc(request.function) or ""),
            [mark for mark in reversed(list(request.node.iter_markers())) if mark.name in MARKERS],
            seed=cloudcart_seed + cloudcart_repetition,
            settings={**cloudcart_settings, **shop_settings(request.config)},
            time_scale=cloudcart_time_scale,
            of_the_shop="cloudcart_target" not in request.fixturenames,
        )


@pytest.fixture
def cloudcart_lab(
    request: pytest.FixtureRequest, cloudcart_session: SessionLab, cloudcart_experiment: Experiment
) -> Iterator[Lab]:
    """A running shop: nothing broken, nothing left of the test before; healed and reset again afterwards."""
    from cloudcart.experiment.run import require_settings

    with _clear_errors():
        lab = cloudcart_session.with_settings(cloudcart_experiment.lab_settings)
        lab.require(item.fault for item in cloudcart_experiment.faults)
        if setting(request.config, "reuse"):
            require_settings(lab, cloudcart_experiment)
    reset = Stopwatch()
    with reset.running():
        lab.reset()
    watched = coverage.Watched(lab) if flag(request.config, "coverage") else None
    try:
        yield lab
    finally:
        if watched is not None:
            request.config.stash[plugin.FINDINGS].append(watched.finding())
        with reset.running():
            lab.reset()
        if "cloudcart_run" in request.fixturenames:
            request.config.stash[plugin.FINDINGS].append({"reset_seconds": reset.seconds})


@pytest.fixture
def cloudcart_client(cloudcart_lab: Lab) -> Iterator[httpx.Client]:
    """An HTTP client of the gateway, logged in as the demo user."""
    import httpx

    headers = {"authorization": f"Bearer {cloudcart_lab.token('demo')}"}
    with httpx.Client(base_url=cloudcart_lab.urls["gateway"], headers=headers, timeout=10) as client:
        yield client


@pytest.fixture
def cloudcart_chaos(cloudcart_lab: Lab) -> ControlPlane:
    """The control plane of faults."""
    return cloudcart_lab.chaos


@pytest.fixture
def cloudcart_load(
    cloudcart_lab: Lab, tmp_path: Path, cloudcart_seed: int, cloudcart_turn: Turn
) -> Iterator[LoadFactory]:
    """Start load: ``with cloudcart_load("checkout", rate=40) as load: load.wait("5s")``.

    Without ``duration`` it goes on for as long as the block, and for 60 s at most.
    """
    from cloudcart.load import LoadProfile, start_load

    with ExitStack() as started:

        def factory(journey: str, **profile: Any) -> LoadRun:
            profile = {"seed": cloudcart_seed, **profile}
            started.enter_context(cloudcart_turn.taken())
            with _clear_errors():
                values = LoadProfile(journey=journey, **profile)
                folder = tmp_path / f"load-{journey}"
                folder.mkdir(exist_ok=True)
                users = cloudcart_lab.prepare_users(values.users_needed)
                token = cloudcart_lab.token("admin")
                host = cloudcart_lab.urls["gateway"]
                load = start_load(values, host=host, users=users, admin_token=token, folder=folder)
            return started.enter_context(load)

        yield factory


@pytest.fixture
def cloudcart_events(cloudcart_lab: Lab) -> Iterator[EventTap]:
    """What is published while the test runs: ``cloudcart_events.wait_for("order.created", 1)``."""
    with cloudcart_lab.tap_events() as tap:
        yield tap


@pytest.fixture
def cloudcart_invariants(cloudcart_lab: Lab, cloudcart_events: EventTap) -> Callable[[], Invariants]:
    """Wait until all is quiet and check the shop's data: ``assert cloudcart_invariants().passed``."""
    from cloudcart.lab.invariants import Invariants

    return lambda: Invariants(cloudcart_lab.check_invariants(cloudcart_events))


@pytest.fixture
def cloudcart_signals(cloudcart_lab: Lab) -> Callable[..., Signals]:
    """Golden signals over a window, as ``cloudcart_signals(fault.window).errors("gateway").ratio``."""
    return cloudcart_lab.signals


@pytest.fixture
def cloudcart_run(
    request: pytest.FixtureRequest,
    cloudcart_experiment: Experiment,
    cloudcart_lab: Lab,
    cloudcart_report_dir: Path,
    cloudcart_turn: Turn,
    cloudcart_generators: Generators,
) -> Run:
    """The scenario's run: load given, faults injected and healed, verdict reached, report written."""
    from cloudcart.experiment import run

    running = Stopwatch()
    with _clear_errors(), cloudcart_turn.taken(), running.running():
        finished = run(
            cloudcart_experiment,
            cloudcart_lab,
            folder=cloudcart_report_dir,
            command=f"pytest {request.node.nodeid} --cloudcart-seed {cloudcart_experiment.seed}",
            fail_fast=flag(request.config, "fail_fast"),
            generators=cloudcart_generators,
        )
    found = {
        "run": str(finished.directory),
        "summary": finished.summary,
        "scenario": cloudcart_experiment.name,
        "run_seconds": running.seconds,
        "load_seconds": load_seconds(finished.record),
    }
    request.config.stash[plugin.FINDINGS].append(found)
    request.node.user_properties += [
        (f"cloudcart_{name}", str(finished.record[name])) for name in ("verdict", "seed", "directory")
    ]
    report_cases(request, finished)
    return finished


@contextmanager
def _clear_errors() -> Iterator[None]:
    """Show what cloudcart raises on purpose as its sentence, without a traceback; skip what this lab cannot do."""
    try:
        yield
    except UnsupportedError as error:
        raise pytest.skip.Exception(str(error)) from None
    except CloudCartError as error:
        raise pytest.fail.Exception(f"{type(error).__name__}: {error}", pytrace=False) from None
