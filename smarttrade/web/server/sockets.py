"""Sockets: where we listen, and how an accepted one notices that its client is gone."""

from __future__ import annotations

import errno
import socket
from contextlib import suppress

import structlog
import trio

log = structlog.get_logger(__name__)

BACKLOG = 4096  # connections; the kernel lowers it to net.core.somaxconn
LOOPBACK = ("127.0.0.1", "::1")
PORT_ATTEMPTS = 20  # to find one that is free on both loopback addresses

# A client whose machine or network vanished sends nothing, not even an end.
KEEPALIVE_IDLE = 20  # seconds of silence before the first probe
KEEPALIVE_INTERVAL = 10  # seconds between probes
KEEPALIVE_PROBES = 3
USER_TIMEOUT = 30.0  # seconds that sent bytes, or a closed window, may stay unacknowledged

_NO_SUCH_ADDRESS = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


class CannotListenError(Exception):
    """We cannot listen at the configured address; the message says what to do."""


async def open_listeners(
    host: str, port: int, *, reuse_port: bool = False, backlog: int = BACKLOG
) -> list[trio.SocketListener]:
    """Listen on every address of `host`; the caller owns the listeners.

    A loopback host (`localhost`, `127.0.0.1`, `::1`) listens on both loopback addresses where the
    machine has them: what `localhost` means is the client's choice. Port 0 takes one free port for
    all addresses. `::` takes IPv4 clients too.

    Raises:
        CannotListenError: the port is taken or not allowed, or the host is not this machine.
    """
    addresses = await _addresses_of(host)
    for attempts_left in reversed(range(PORT_ATTEMPTS)):
        try:
            return _listen_on_all(addresses, port, reuse_port=reuse_port, backlog=backlog)
        except OSError as error:
            if port == 0 and error.errno == errno.EADDRINUSE and attempts_left:
                continue  # the port that the first address got is taken on the second
            raise CannotListenError(_explain(error, host, port)) from error
    raise AssertionError("unreachable")


def configure_accepted(sock: trio.socket.SocketType, *, stall_limit: float) -> None:
    """Send small frames at once, and have the kernel notice a dead client."""
    timeout = int(max(USER_TIMEOUT, stall_limit) * 1000)
    with suppress(OSError):  # not TCP
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


async def _addresses_of(host: str) -> list[str]:
    if host == "localhost" or host in LOOPBACK:
        return sorted(LOOPBACK, key=lambda address: address != host)
    try:
        found = await trio.socket.getaddrinfo(
            host or None, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except socket.gaierror as error:
        raise CannotListenError(
            f"no such host: {host!r}; set HOST to 127.0.0.1, to 0.0.0.0 for every network, or to"
            " an address of this machine"
        ) from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _listen_on_all(
    addresses: list[str], port: int, *, reuse_port: bool, backlog: int
) -> list[trio.SocketListener]:
    sockets: list[socket.socket] = []
    try:
        for address in addresses:
            try:
                sock = _listen(address, port, reuse_port=reuse_port, backlog=backlog)
            except OSError as error:
                if not sockets or error.errno not in _NO_SUCH_ADDRESS:
                    raise
                log.info("not_listening", address=address, reason=error.strerror)
            else:
                sockets.append(sock)
                port = sock.getsockname()[1]
    except OSError:
        for sock in sockets:
            sock.close()
        raise
    return [trio.SocketListener(trio.socket.from_stdlib_socket(sock)) for sock in sockets]


def _listen(address: str, port: int, *, reuse_port: bool, backlog: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address != "::")
        sock.bind((address, port))
        sock.listen(backlog)
    except OSError:
        sock.close()
        raise
    return sock


def _explain(error: OSError, host: str, port: int) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return (
                f"port {port} on {host} is taken by another program: stop it"
                f" (`ss -ltnp 'sport = :{port}'` names it) or set PORT to another port"
            )
        case errno.EACCES:
            return f"port {port} needs privileges: set PORT to 1024 or more"
        case errno.EADDRNOTAVAIL:
            return (
                f"{host} is not an address of this machine: set HOST to 127.0.0.1, or to 0.0.0.0"
                " for every network"
            )
        case _:
            return f"cannot listen on {host} port {port}: {error.strerror}"
