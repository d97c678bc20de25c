"""The tasks that CI and contributors share: `.venv/bin/nox -f .ci/noxfile.py --list`.

They run in the environment that nox is installed in, which `pip install -e '.[dev]'` has made;
only `actors` makes one of its own, to show that the toolkit needs nothing of the project.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import nox

ROOT = Path(__file__).parents[1]
PROGRAMS = Path(sys.executable).parent

nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "types", "layers", "docs", "actors", "compatibility"]

# What the coverage figures in docs/contributing.md are about: tests beside the code, without those
# that start processes, whose coverage is not collected, and the simulation.
WITHOUT = ("test_processes.py", "test_deploy.py", "test_stopping.py", "test_simulation.py")
PACKAGES = (
    "actors",
    *sorted(f"smarttrade/{p.parent.name}" for p in ROOT.glob("smarttrade/*/__init__.py")),
)


def run(session: nox.Session, program: str, *arguments: str) -> None:
    session.chdir(ROOT)
    session.run(str(PROGRAMS / program), *arguments, external=True)


@nox.session
def lint(session: nox.Session) -> None:
    """Check formatting and style."""
    run(session, "ruff", "format", "--check", ".")
    run(session, "ruff", "check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check types."""
    run(session, "mypy")


@nox.session
def layers(session: nox.Session) -> None:
    """Check which package imports which."""
    run(session, "lint-imports")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation site into build/site; a broken link fails. Needs no network."""
    run(session, "mkdocs", "build", "--config-file", ".ci/mkdocs.yml")


@nox.session(venv_backend="venv", reuse_venv=True)
def actors(session: nox.Session) -> None:
    """Test the toolkit with nothing of the project but itself and its tests."""
    session.install("-q", "trio", "pytest", "pytest-trio", "hypothesis")
    copy = Path(session.create_tmp()).absolute()
    shutil.rmtree(copy)
    shutil.copytree(ROOT / "actors", copy / "actors")
    shutil.copytree(ROOT / "tests" / "actors", copy / "tests")
    session.chdir(copy)
    options = ("-o", "trio_mode=true", "--import-mode=importlib", "-W", "error")
    session.run("python", "-m", "pytest", "-q", *options, "tests")


@nox.session
def compatibility(session: nox.Session) -> None:
    """Run the test whose name users of the earlier backend know."""
    run(session, "python", "-m", "unittest", "tests.test_streaming_verify", "-v")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests that are not marked slow, or those that are given after `--`."""
    run(session, "pytest", "-q", *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """Measure the branch coverage that docs/contributing.md states, by package."""
    ignored = [f"--ignore=tests/smarttrade/{name}" for name in WITHOUT]
    where = session.posargs or ("tests/actors", "tests/smarttrade", *ignored)
    run(session, "coverage", "run", "-m", "pytest", "-q", *where)
    for package in PACKAGES:
        session.log(package)
        run(session, "coverage", "report", "--format=total", f"--include={package}/*")
