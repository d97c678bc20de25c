import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

import actors


def example() -> str:
    lines = (actors.__doc__ or "").splitlines()
    return dedent("\n".join(line for line in lines if line.startswith("    ") or not line))


def test_example_in_the_introduction_runs(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(example(), "example", "exec"), {"__name__": "example"})
    assert capsys.readouterr().out == "3\n"


def test_toolkit_stands_by_itself() -> None:
    """Importing it brings in Trio and the standard library, and what Trio itself needs."""
    code = (
        "import sys, trio, trio.testing; before = set(sys.modules);"
        "import actors, actors.testing;"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before};"
        "print(sorted(new - {'actors'} - sys.stdlib_module_names))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(actors.__file__).parent.parent,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert result.stdout == "[]\n"


def test_public_names_are_there() -> None:
    assert all(hasattr(actors, name) for name in actors.__all__)
