import ast
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import actors


def example() -> str:
    text = (Path(actors.__file__).parent / "README.md").read_text("utf-8")
    return text.split("```python\n")[1].split("```")[0]


def test_example_in_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(example(), "example", "exec"), {"__name__": "example"})
    assert capsys.readouterr().out == "3\n"


def test_toolkit_imports_only_trio() -> None:
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


def test_code_and_tests_import_nothing_that_is_built_with_it() -> None:
    allowed = {"actors", "hypothesis", "pytest", "trio", *sys.stdlib_module_names}
    for directory in (Path(actors.__file__).parent, Path(__file__).parent):
        for file in directory.glob("*.py"):
            assert imported_by(file) <= allowed, file


def imported_by(file: Path) -> set[str]:
    """The top-level packages; what is imported relatively is of the file's own."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        match node:
            case ast.Import(names):
                found |= {name.name.partition(".")[0] for name in names}
            case ast.ImportFrom(str(module), _, 0):
                found.add(module.partition(".")[0])
    return found


def test_public_names_are_those_imported_by_the_package() -> None:
    """What `actors` imports from its modules, and nothing else, is its interface."""
    imported = {name for name, value in vars(actors).items() if not isinstance(value, ModuleType)}
    assert {name for name in imported if not name.startswith("_")} == set(actors.__all__)
    assert (Path(actors.__file__).parent / "py.typed").is_file()


def test_public_names_exist() -> None:
    assert all(hasattr(actors, name) for name in actors.__all__)
