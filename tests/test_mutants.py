"""The mutants that `python -m tests.mutants` samples."""

from __future__ import annotations

from tests.mutants.mutations import mutants, mutated

SOURCE = '''
"""A docstring."""
from log import logger

def decide(a: int, b: int) -> int:
    logger.info("called", a, b)
    if a < 2 and not b:
        return max(a, b) + 1
    a -= 1
    return a
'''


def test_each_changes_one_thing_and_nothing_that_is_inert() -> None:
    found = list(mutants(SOURCE))
    assert {(each.line, each.kind.partition(":")[0]) for each in found} == {
        *((7, kind) for kind in ("comparison", "condition dropped", "negation", "constant")),
        *((7, f"condition {value}") for value in (True, False)),
        *((8, kind) for kind in ("arguments swapped", "operator", "constant", "returns None")),
        *((9, kind) for kind in ("deleted", "constant")),
        (10, "returns None"),
    }
    sources = {mutated(SOURCE, each) for each in found}
    assert len(sources) == len(found)
    for source in sources:
        assert "logger.info('called', a, b)" in source
        compile(source, "mutant", "exec")
