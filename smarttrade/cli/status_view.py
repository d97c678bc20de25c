"""How a backend does, drawn for a terminal. Plain code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from ..web.response_schemas import Actor, SeriesStatus, StreamingStatus, System
from .candle_table import utc

MAX_NAMED_SERIES = 10  # shown by name
MAX_SYMBOLS = 40  # in the table; those with a series that is not ok come first

_STATES = {"running": "green", "stopped": "dim", "waiting": "dim"}
_FEEDS = {"live": "green", "stale": "yellow", "down": "bold red"}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a backend reports."""

    address: str
    system: System
    streaming: StreamingStatus
    reason: str | None
    """Why it is not ready; None when it is."""


def draw(snapshot: Snapshot) -> RenderableType:
    return Group(*_parts(snapshot))


def _parts(snapshot: Snapshot) -> Iterator[RenderableType]:
    yield _heading(snapshot)
    if snapshot.system.simulated:
        yield Text("SIMULATED prices: they are invented", "bold magenta")
    yield _feed(snapshot.streaming)
    yield _store(snapshot.system.store)
    yield Text()
    yield _tree(snapshot.system)
    yield Text()
    yield _series(snapshot.streaming)
    yield from _not_ok(snapshot.streaming)


def _heading(snapshot: Snapshot) -> Text:
    line = Text.assemble(
        (snapshot.system.server, "bold"),
        f"  {snapshot.address}  up {duration(snapshot.system.uptime)}  ",
    )
    if snapshot.reason is None:
        return line.append("ready", "bold green")
    return line.append(f"not ready: {snapshot.reason}", "bold red")


def _feed(streaming: StreamingStatus) -> Text:
    line = Text.assemble("feed   ", (streaming.feed, _FEEDS[streaming.feed]))
    if streaming.feed_since > 0:
        line.append(f" since {utc(streaming.feed_since)} UTC")
    return line


def _store(store: Mapping[str, Any]) -> Text:
    line = Text(f"store  {store.get('kind', 'unknown')}")
    if store.get("kind") != "redis":
        return line
    line.append("  ").append(*_role(str(store.get("role"))))
    for name in ("lag", "waiting", "errors"):
        if name in store:
            line.append(f"  {name} {store[name]}")
    if store.get("last_error"):
        line.append(f"  last error: {store['last_error']}", "dim")
    for role, numbers in _shards_by_role(store).items():
        line.append(f"\n       shards {' '.join(numbers)}  ").append(*_role(role))
    return line


def _role(role: str) -> tuple[str, str]:
    return role, "bold red" if role == "away" else "green"


def _shards_by_role(store: Mapping[str, Any]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in store.get("shards", ()):
        found.setdefault(str(each.get("role")), []).append(str(each.get("shard")))
    return found


# -- actors -------------------------------------------------------------------------------------


def _tree(actor: Actor) -> Tree:
    tree = Tree(_actor(actor), guide_style="dim")
    for child in actor.children:
        tree.children.append(_tree(child))
    return tree


def _actor(actor: Actor) -> Text:
    line = Text.assemble((actor.name, "bold"), "  ")
    line.append(actor.state, _STATES.get(actor.state, "bold red"))
    if actor.mailbox_capacity is not None:
        line.append(f"  mailbox {actor.mailbox_depth}/{actor.mailbox_capacity}")
        line.append(f"  {actor.handled:,} handled", "dim")
    if actor.restarts:
        line.append(f"  {actor.restarts} restart{'s' if actor.restarts > 1 else ''}", "yellow")
    if actor.last_error is not None and actor.state != "stopped":
        line.append(f"  last: {actor.last_error}", "dim")
    return line


# -- series -------------------------------------------------------------------------------------


def _series(streaming: StreamingStatus) -> Table:
    """A row per symbol, a column per interval: the age of the exchange's last update."""
    intervals = list(dict.fromkeys(each.interval for each in streaming.per_symbol))
    known = {(each.symbol, each.interval): each for each in streaming.per_symbol}
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("age")
    for interval in intervals:
        table.add_column(interval, justify="right")
    troubled = {each.symbol for each in streaming.per_symbol if each.status != "ok"}
    symbols = streaming.symbols
    if len(symbols) > MAX_SYMBOLS:
        symbols = sorted(symbols, key=lambda symbol: symbol not in troubled)[:MAX_SYMBOLS]
    for symbol in symbols:
        cells = [_cell(known.get((symbol, interval))) for interval in intervals]
        table.add_row(Text(symbol, "bold"), *cells)
    if len(symbols) < len(streaming.symbols):
        table.add_row(Text(f"and {len(streaming.symbols) - len(symbols)} more", "dim"))
    return table


def _cell(series: SeriesStatus | None) -> Text:
    if series is None:
        return Text()
    age = "never" if series.age is None else duration(series.age)
    return Text(age, "green" if series.status == "ok" else "bold red")


def _not_ok(streaming: StreamingStatus) -> Iterator[Text]:
    troubled = [each for each in streaming.per_symbol if each.status != "ok"]
    if troubled:
        yield Text()
    for each in troubled[:MAX_NAMED_SERIES]:
        yield Text.assemble((f"{each.symbol} {each.interval}", "bold red"), f"  {each.status}")
    if len(troubled) > MAX_NAMED_SERIES:
        yield Text(f"and {len(troubled) - MAX_NAMED_SERIES} more", "dim")


def duration(seconds: float) -> str:
    """In the two units that say most."""
    if not 0 <= seconds < 1e12:
        return f"{seconds:g} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if minutes < 60:
        return f"{minutes} min {int(seconds % 60)} s"
    if hours < 24:
        return f"{hours} h {minutes % 60} min"
    return f"{days} d {hours % 24} h"
