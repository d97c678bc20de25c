"""Small changes of a module's meaning, one at a time."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

Change = Callable[[], None]

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.FloorDiv,
}
LOGGERS = ("log", "logger")


@dataclass(frozen=True, slots=True)
class Mutant:
    number: int
    """Of the changes of its module, in order."""
    line: int
    kind: str
    text: str
    """The statement before."""


def mutants(source: str) -> Iterator[Mutant]:
    """Every change that is known."""
    tree = ast.parse(source)
    for number, (line, kind, _) in enumerate(_changes(tree)):
        yield Mutant(number, line, kind, _statement(tree, line))


def mutated(source: str, mutant: Mutant) -> str:
    """The module with that change."""
    tree = ast.parse(source)
    *_, (_, _, change) = islice(_changes(tree), mutant.number + 1)
    change()
    return ast.unparse(ast.fix_missing_locations(tree))


def _statement(tree: ast.Module, line: int) -> str:
    """The innermost statement at a line, its first line only."""
    found = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or node.lineno)
    ]
    return ast.unparse(max(found, key=lambda node: node.lineno)).partition("\n")[0]


def _changes(tree: ast.Module) -> Iterator[tuple[int, str, Change]]:
    for node in _code(tree):
        for where, kind, change in _of_node(node):
            yield where.lineno, kind, change


def _code(node: ast.AST) -> Iterator[ast.AST]:
    """What runs: no annotations, docstrings, imports or log lines."""
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "type_params", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _is_inert(child):
                yield from _code(child)


def _is_inert(node: ast.AST) -> bool:
    if isinstance(node, ast.Import | ast.ImportFrom):
        return True
    if not isinstance(node, ast.Expr):
        return False
    value = node.value
    if isinstance(value, ast.Constant):
        return True
    function = value.func if isinstance(value, ast.Call) else None
    owner = function.value if isinstance(function, ast.Attribute) else function
    return isinstance(owner, ast.Name) and owner.id in (*LOGGERS, "assert_never")


def _of_node(node: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, str, Change]]:
    match node:
        case ast.Compare(ops=ops):
            for place, operator in enumerate(ops):
                yield node, "comparison", _set(ops, place, COMPARISONS[type(operator)]())
        case ast.BinOp(op=operator) if type(operator) in OPERATORS:
            yield node, "operator", _assign(node, op=OPERATORS[type(operator)]())
        case ast.Constant(value=bool() | int() | float()):
            yield node, "constant", _assign(node, value=_other(node.value))
        case ast.Call(args=[first, second, *_]) if ast.dump(first) != ast.dump(second):
            yield node, "arguments swapped", _swap(node.args)
        case ast.stmt():
            yield from _deletions(node)
    yield from _of_condition(node)


def _of_condition(node: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, str, Change]]:
    match node:
        case ast.BoolOp(values=values):
            for place in range(len(values)):
                yield node, "condition dropped", _drop(values, place)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield node, "negation", _assign(node, operand=ast.UnaryOp(ast.Not(), operand))
        case ast.If(test=test) | ast.IfExp(test=test) if not isinstance(test, ast.Constant):
            for value in (True, False):
                yield node, f"condition {value}", _assign(node, test=ast.Constant(value))


def _other(value: object) -> object:
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case float():
            return value * 2 + 1
    raise TypeError(f"no number: {value!r}")


def _deletions(node: ast.stmt) -> Iterator[tuple[ast.expr | ast.stmt, str, Change]]:
    """Of statements in its body whose absence is no syntax error."""
    for name in ("body", "orelse", "finalbody"):
        body: list[ast.stmt] = getattr(node, name, None) or []
        for place, statement in enumerate(body):
            if _is_inert(statement):
                continue
            is_code = not isinstance(node, ast.ClassDef)
            if is_code and isinstance(
                statement, ast.Expr | ast.Assign | ast.AugAssign | ast.Delete | ast.Raise
            ):
                yield statement, f"deleted: {ast.unparse(statement)}", _set(body, place, ast.Pass())
            elif isinstance(statement, ast.Return) and statement.value is not None:
                yield (
                    statement,
                    f"returns None: {ast.unparse(statement)}",
                    _assign(statement, value=None),
                )


def _set(items: list[ast.cmpop] | list[ast.stmt], place: int, new: ast.AST) -> Change:
    def change() -> None:
        items[place] = new  # type: ignore[call-overload]

    return change


def _assign(node: ast.AST, **fields: object) -> Change:
    def change() -> None:
        for name, value in fields.items():
            setattr(node, name, copy.copy(value))

    return change


def _drop(values: list[ast.expr], place: int) -> Change:
    def change() -> None:
        del values[place]
        if len(values) == 1:
            values.append(values[0])  # `a and a`

    return change


def _swap(arguments: list[ast.expr]) -> Change:
    def change() -> None:
        arguments[:2] = arguments[1::-1]

    return change
