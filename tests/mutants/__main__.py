"""Sample mutants of modules, and find those that no test notices.

python -m tests.mutants --count 1000 --seed 1 smarttrade/market smarttrade/session/pending.py

Each mutant is tested in a process of its own, a copy of this one, in which third-party modules are
loaded already. First the tests of the module run (`test_NAME*.py` beside its mirror), then all
others of its package that start no server.
"""

from __future__ import annotations

import argparse
import ast
import importlib.abc
import importlib.machinery
import os
import random
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import ModuleType

# Loaded before the processes are copied.
import httpx  # noqa: F401
import hypothesis
import msgspec  # noqa: F401
import pydantic  # noqa: F401
import pytest
import structlog  # noqa: F401
import trio.testing  # noqa: F401
import trio_websocket  # noqa: F401

from .mutations import Mutant, mutants, mutated

ROOT = Path(__file__).parents[2]
MAX_CPU = 120  # seconds of processor time; a mutant that takes longer does not end
REPORT_INTERVAL = 50  # mutants
MAX_TIME = 600.0  # seconds; the machine may be busy
SERVERS = frozenset(
    {"cluster", "deployment", "own_redis", "redis_server", "sentinels", "shared_redis"}
)
"""Fixtures that start programs; the tests that use them are left out."""

hypothesis.settings.register_profile(
    "mutants", max_examples=30, deadline=None, derandomize=True, database=None
)


class Verdict(Enum):
    KILLED = "killed"
    TIMEOUT = "did not end"
    SURVIVED = "SURVIVED"


@dataclass(frozen=True, slots=True)
class Sample:
    path: Path
    mutant: Mutant

    @property
    def module(self) -> str:
        return ".".join(self.path.with_suffix("").parts)

    @property
    def source(self) -> str:
        return mutated(self.path.read_text("utf-8"), self.mutant)

    def __str__(self) -> str:
        return f"{self.path}:{self.mutant.line}: {self.mutant.kind}: {self.mutant.text}"


class Loader(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Has one module executed from another source."""

    def __init__(self, module: str, source: str) -> None:
        self._module = module
        self._source = source

    def find_spec(
        self, fullname: str, path: object, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._module:
            return None
        return importlib.machinery.ModuleSpec(fullname, self)

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._source, self._module, "exec"), module.__dict__)


class WithoutServers:
    """A plugin of pytest."""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if not _needs_server(item)]


def _needs_server(item: pytest.Item) -> bool:
    names = set(getattr(item, "fixturenames", ()))
    kind = getattr(getattr(item, "callspec", None), "params", {}).get("database_kind", "virtual")
    return kind != "virtual" or not SERVERS.isdisjoint(names)


def tests_of(path: Path) -> tuple[list[str], list[str]]:
    """The tests of a module, and those of its package."""
    mirror = Path("tests") / path.parent
    own = [str(each) for each in sorted(mirror.glob(f"test_{path.stem}*.py"))]
    return own, [str(mirror)]


def passes(where: Sequence[str], sample: Sample | None) -> Verdict:
    """Run tests in a copy of this process."""
    pid = os.fork()
    if pid == 0:
        _run_tests(where, sample)
    deadline = time.monotonic() + MAX_TIME
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            break
        if time.monotonic() > deadline:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return Verdict.TIMEOUT
        time.sleep(0.02)
    if os.WIFSIGNALED(status):
        return Verdict.TIMEOUT
    survived = os.WEXITSTATUS(status) in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
    return Verdict.SURVIVED if survived else Verdict.KILLED


def _run_tests(where: Sequence[str], sample: Sample | None) -> None:
    os.setpgid(0, 0)
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU, MAX_CPU))
    quiet = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(quiet, descriptor)
    if sample is not None:
        sys.meta_path.insert(0, Loader(sample.module, sample.source))
    options = ("-x", "-q", "-p", "no:cacheprovider", "--hypothesis-profile=mutants")
    loaded = ("-W", "ignore::pytest.PytestAssertRewriteWarning")  # before pytest could rewrite them
    os._exit(pytest.main([*options, *loaded, *where], [WithoutServers()]))


def judge(sample: Sample) -> Verdict:
    own, package = tests_of(sample.path)
    verdict = passes(own, sample) if own else Verdict.SURVIVED
    return passes(package, sample) if verdict is Verdict.SURVIVED else verdict


def samples(paths: Iterable[Path], count: int, seed: int) -> list[Sample]:
    """`count` of all mutants of these modules, by chance."""
    every = [Sample(path, each) for path in paths for each in mutants(path.read_text("utf-8"))]
    chosen = random.Random(seed).sample(every, min(count, len(every)))
    print(f"{len(chosen)} of {len(every)} mutants", flush=True)
    return chosen


def modules(names: Iterable[str]) -> Iterable[Path]:
    for name in names:
        path = Path(name)
        for each in sorted(path.glob("*.py")) if path.is_dir() else [path]:
            if ast.parse(each.read_text("utf-8")).body[1:]:
                yield each


def main() -> int:
    parser = argparse.ArgumentParser("tests.mutants")
    parser.add_argument("modules", nargs="+", metavar="MODULE", help="a file, or a folder of them")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    os.chdir(ROOT)
    paths = [*modules(arguments.modules)]
    for package in sorted({tests_of(path)[1][0] for path in paths}):
        began = time.monotonic()
        if passes([package], None) is not Verdict.SURVIVED:
            parser.error(f"the tests in {package} fail without a mutant")
        print(f"{package}: {time.monotonic() - began:.1f} s", flush=True)
    verdicts: Counter[Verdict] = Counter()
    for number, sample in enumerate(samples(paths, arguments.count, arguments.seed), 1):
        verdict = judge(sample)
        verdicts[verdict] += 1
        if verdict is Verdict.SURVIVED:
            print(sample, flush=True)
        if number % REPORT_INTERVAL == 0 or number == arguments.count:
            print(
                ", ".join(f"{count} {each.value}" for each, count in verdicts.items()), flush=True
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
