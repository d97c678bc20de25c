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

from .mutations import Mutant, mutants

ROOT = Path(__file__).parents[2]
MAX_CPU = 120  # seconds of processor time; a mutant that takes longer does not end
MAX_TIME = 600.0  # seconds; the machine may be busy
NEEDS_SERVER = "redis or process or cluster or sentinel or wheel or failover or tls"

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
        sys.meta_path.insert(0, Loader(sample.module, sample.mutant.source))
    options = ("-x", "-q", "-p", "no:cacheprovider", "--hypothesis-profile=mutants")
    loaded = ("-W", "ignore::pytest.PytestAssertRewriteWarning")  # before pytest could rewrite them
    os._exit(pytest.main([*options, *loaded, "-k", f"not ({NEEDS_SERVER})", *where]))


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
    for sample in samples(paths, arguments.count, arguments.seed):
        verdict = judge(sample)
        verdicts[verdict] += 1
        if verdict is Verdict.SURVIVED:
            print(sample, flush=True)
    print(", ".join(f"{count} {verdict.value}" for verdict, count in verdicts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
