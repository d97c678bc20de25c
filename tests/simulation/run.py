"""One seed, from its plan to what came of it."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from unittest.mock import patch

import trio
from trio.testing import MockClock

import smarttrade.simulator.server as server_module
from smarttrade.simulator import Exchange
from smarttrade.simulator.http import Request, Response

from .deterministic import deterministic
from .plan import Plan, plan_for
from .process import leaves
from .pushes import pushes_every
from .subscribing import requests_of
from .trace import Trace, logs_to
from .violation import Violation
from .world import Figures, World

CLIENT_TIMEOUT = 9.9  # seconds; the timeouts of `http_client`


@dataclass
class Outcome:
    plan: Plan
    digest: str
    figures: Figures
    trace: Trace
    seconds: float
    """Of real time."""
    cpu_seconds: float
    """Of processor time: what others do on the machine does not count."""
    violation: Violation | None = None
    error: BaseException | None = None
    """What is no violation, but went wrong all the same."""

    @property
    def is_good(self) -> bool:
        return self.violation is None and self.error is None

    @property
    def invariant(self) -> str:
        """Which rule was broken."""
        if self.violation is not None:
            return self.violation.invariant
        return "" if self.error is None else type(self.error).__name__

    @property
    def reason(self) -> str:
        return str(self.violation or (self.error and repr(self.error)) or "")


def run_seed(
    seed: int, hours: float = 0.5, *, liveness: bool = False, named: str | None = None
) -> Outcome:
    return run(plan_for(seed, hours, liveness=liveness, named=named))


def run(plan: Plan, plant: AbstractContextManager[object] | None = None) -> Outcome:
    """`plant` is a fault of the product, for as long as the run lasts."""
    trace = Trace()
    worlds: list[World] = []

    async def main() -> None:
        world = World(plan, trace)
        worlds.append(world)
        with logs_to(world), _watched(world):
            await world.live()

    began, cpu_began = time.perf_counter(), time.process_time()
    error: BaseException | None = None
    with (
        requests_of(plan.shape.request_size),
        pushes_every(plan.shape.push_every),
        plant or nullcontext(),
        deterministic(plan.seed),
        _wire(plan),
    ):
        try:
            trio.run(main, clock=MockClock(autojump_threshold=0))
        except (Exception, BaseExceptionGroup) as caught:  # noqa: BLE001 - it is the outcome
            error = caught
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    outcome = Outcome(plan, "", worlds[0].figures, trace, seconds, cpu_seconds)
    if error is not None:
        if any(isinstance(leaf, KeyboardInterrupt) for leaf in leaves(error)):
            raise KeyboardInterrupt from error
        found = [leaf for leaf in leaves(error) if isinstance(leaf, Violation)]
        outcome.violation = found[0] if found else None
        outcome.error = None if found else error
        trace.note("world", outcome.reason)
    outcome.digest = trace.digest
    return outcome


def _wire(plan: Plan) -> AbstractContextManager[object]:
    if not plan.shape.wire:
        return nullcontext()
    from .wire.patches import redis_by_wire  # needs packages that other worlds do not

    return redis_by_wire()


def _watched(world: World) -> AbstractContextManager[object]:
    """The exchange as it is, with every request noted."""
    answer = server_module.answer
    processes = {process.name: process for process in world.processes}

    async def noted(exchange: Exchange, request: Request, peer: str) -> Response:
        processes.update({process.name: process for process in world.processes})
        process = processes[peer]
        world.requests.asked(process)
        began = trio.current_time()
        response = await answer(exchange, request, peer)
        was_received = (
            trio.current_time() - began < CLIENT_TIMEOUT and not response.bytes_per_second
        )
        waits = [value for name, value in response.headers if name == "Retry-After"]
        if response.status == 403:
            world.requests.forbidden(process)
        if response.status in (418, 429) and was_received and waits and waits[0].isdecimal():
            world.requests.block(process, float(waits[0]))
        world.trace.note("exchange", f"{peer} {request.path} -> {response.status}")
        return response

    return patch.object(server_module, "answer", noted)
