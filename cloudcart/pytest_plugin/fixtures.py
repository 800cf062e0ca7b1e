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
from cloudcart.pytest_plugin import plugin

if TYPE_CHECKING:
    import httpx

    from cloudcart.chaos.client import ControlPlane
    from cloudcart.experiment import Experiment, Run
    from cloudcart.lab import Lab
    from cloudcart.lab.event_tap import EventTap
    from cloudcart.load import LoadRun
    from cloudcart.signals import Signals

    LoadFactory = Callable[..., Any]


class SessionLab:
    """The one lab of a pytest session; started again when a test needs other settings."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._lab: Lab | None = None
        self._settings: dict[str, str] | None = None

    def with_settings(self, settings: dict[str, str]) -> Lab:
        """Return a running lab with just these settings."""
        if self._lab is None or settings != self._settings:
            self.close()
            self._lab, self._settings = self._begin(settings), settings
        return self._lab

    def _begin(self, settings: dict[str, str]) -> Lab:
        from cloudcart import lab

        if name := plugin.setting(self._config, "reuse"):
            return lab.attach(name)
        if url := plugin.setting(self._config, "url"):
            return lab.start("external", overrides={**settings, "urls.gateway": url})
        keep = plugin.flag(self._config, "keep")
        return lab.start(plugin.setting(self._config, "backend"), overrides=settings, detach=keep)

    def close(self) -> None:
        """End the lab, unless it was somebody else's or is to be kept."""
        if self._lab is None:
            return
        if plugin.flag(self._config, "keep"):
            line = f"lab kept: {self._lab.name} (end it with: cloudcart down --name {self._lab.name})"
            self._config.stash.setdefault(plugin.RUNS, []).append(line)
        elif not plugin.setting(self._config, "reuse"):
            self._lab.close()
        self._lab = None


@pytest.fixture(scope="session")
def cloudcart_session(request: pytest.FixtureRequest) -> Iterator[SessionLab]:
    """The session's lab, not started before it is needed, ended with the session."""
    session = SessionLab(request.config)
    try:
        yield session
    finally:
        session.close()


@pytest.fixture(scope="session")
def cloudcart_settings() -> dict[str, str]:
    """Settings of the shop for this session; override this fixture to change them for a whole suite."""
    return {}


@pytest.fixture
def cloudcart_experiment(request: pytest.FixtureRequest, cloudcart_settings: dict[str, str]) -> Experiment:
    """The experiment that the test's markers describe."""
    from cloudcart.experiment.scenario import experiment_from_markers, first_sentence

    with _clear_errors():
        return experiment_from_markers(
            request.node.name.removeprefix("test_"),
            first_sentence(inspect.getdoc(request.function) or ""),
            [mark for mark in reversed(list(request.node.iter_markers())) if mark.name in plugin.MARKERS],
            seed=int(plugin.setting(request.config, "seed")),
            settings={**cloudcart_settings, **plugin.shop_settings(request.config)},
        )


@pytest.fixture
def cloudcart_lab(cloudcart_session: SessionLab, cloudcart_experiment: Experiment) -> Iterator[Lab]:
    """A running shop: nothing broken, nothing left of the test before; healed and reset again afterwards."""
    with _clear_errors():
        lab = cloudcart_session.with_settings(cloudcart_experiment.lab_settings)
        lab.require(item.fault for item in cloudcart_experiment.faults)
    lab.reset()
    try:
        yield lab
    finally:
        lab.reset()


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
def cloudcart_load(cloudcart_lab: Lab, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[LoadFactory]:
    """Start load: ``with cloudcart_load("checkout", rate=40) as load: load.wait("5s")``.

    Without ``duration`` it goes on for as long as the block, and for 60 s at most.
    """
    from cloudcart.load import LoadProfile, start_load

    seed = int(plugin.setting(request.config, "seed"))
    with ExitStack() as started:

        def factory(journey: str, **profile: Any) -> LoadRun:
            profile = {"seed": seed, **profile}
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
def cloudcart_signals(cloudcart_lab: Lab) -> Callable[..., Signals]:
    """Golden signals over a window, as ``cloudcart_signals(fault.window).errors("gateway").ratio``."""
    return cloudcart_lab.signals


@pytest.fixture
def cloudcart_run(request: pytest.FixtureRequest, cloudcart_experiment: Experiment, cloudcart_lab: Lab) -> Run:
    """The scenario's run: load given, faults injected and healed, verdict reached, report written."""
    from cloudcart.experiment import run

    with _clear_errors():
        finished = run(
            cloudcart_experiment,
            cloudcart_lab,
            folder=plugin.report_dir(request.config),
            command=f"pytest {request.node.nodeid} --cloudcart-seed {cloudcart_experiment.seed}",
        )
    request.config.stash.setdefault(plugin.RUNS, []).append(finished.summary)
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
