"""The service as a whole: it runs until it is stopped, and stops in order."""

from __future__ import annotations

import structlog
import trio

from actors import Supervisor

from .app import Progress, build_service
from .environment import Environment, open_environment
from .feed.network import Network
from .linux.systemd import Notifier
from .role import Role
from .settings import Settings
from .web.counters import Counters

logger = structlog.get_logger("app")


async def run_service(
    settings: Settings,
    *,
    stop: trio.Event,
    progress: Progress,
    role: Role = Role.SERVE,
    simulated: bool = False,
    network: Network | None = None,
    notifier: Notifier | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run everything in this process until `stop` is set, and stop in order.

    Raises:
        Fatal: no restart would help: the port is taken, or no symbol is left.
        RestartLimit: something failed more often than its restart budget allows.
    """
    network = network or Network.direct()
    async with open_environment(
        settings, role, notifier, simulated=simulated, network=network
    ) as environment:
        service = build_service(settings, environment, progress, Counters(), role)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_stop_on, stop, environment, service, settings.drain_delay)
            await service.run(task_status=task_status)
            nursery.cancel_scope.cancel()


async def _stop_on(
    stop: trio.Event, environment: Environment, service: Supervisor, drain_delay: float
) -> None:
    await stop.wait()
    logger.info("stopping", drain_delay=drain_delay)
    if environment.notifier is not None:
        environment.notifier.notify_stopping(drain_delay)
    environment.stopping.set()
    await trio.sleep(drain_delay)
    service.stop()
