"""Whether the requests of one connection may be answered, and what they are charged."""

from __future__ import annotations

import trio

from ...session.budget import HANDSHAKE, REQUEST, Budget
from ...session.outbox import Outbox
from ..access import RequestInfo
from ..addresses import network_of
from .context import Edge, RefusedError

RETRY_AFTER = {"retry-after": "1"}  # seconds
CHALLENGE = {"www-authenticate": 'Bearer realm="smarttrade"'}  # RFC 6750, 3
TOO_MANY_CONNECTIONS = (
    "too_many_connections_from_your_address",
    "there are as many connections from your address as this server allows",
)
TOO_MANY_REQUESTS = ("too_many_requests", "your address asks for more than is allowed")


class RequestGuard:
    """Counts requests by the address of the peer, or by the one that a trusted proxy reports."""

    __slots__ = ("_budget", "_counted", "_edge", "_outbox", "_peer")

    def __init__(self, edge: Edge, peer: str | None, outbox: Outbox, budget: Budget) -> None:
        """`peer` is None for a connection without IP, which has no limits by address."""
        self._edge = edge
        self._peer = peer
        self._outbox = outbox
        self._budget = budget
        self._counted = ""
        if peer is not None and not edge.policy.is_proxy(peer):
            budget.address = edge.policy.bucket_of(peer)

    def is_allowed(self, request: RequestInfo) -> bool:
        """Whether a plain request may be answered; if so, it is charged."""
        return self._edge.policy.is_authorized(request) and self._pays(request, REQUEST)

    async def take_turn(self) -> None:
        await self._budget.take_turn()

    def admit(self, request: RequestInfo, *, opens_websocket: bool) -> None:
        """Let a request through, or refuse it with a reason.

        Raises:
            RefusedError: its address sends too many, it lacks a token, or its origin is refused.
        """
        policy, counters = self._edge.policy, self._edge.counters
        if not self._pays(request, HANDSHAKE if opens_websocket else REQUEST):
            counters.refused_rate += 1
            raise RefusedError(429, *TOO_MANY_REQUESTS, RETRY_AFTER)
        if not policy.is_authorized(request):
            counters.refused_token += 1
            raise RefusedError(
                401,
                "token_required",
                "a token of this server is needed: Authorization: Bearer TOKEN, or for a browser's"
                " WebSocket ?access_token=TOKEN",
                CHALLENGE,
            )
        if opens_websocket:
            self._admit_websocket(request)

    def leave(self) -> None:
        """The connection is over."""
        if self._counted:
            self._edge.networks.leave(self._counted)
            self._counted = ""

    def _admit_websocket(self, request: RequestInfo) -> None:
        edge = self._edge
        if not edge.policy.allows_origin(request):
            edge.counters.refused_origin += 1
            raise RefusedError(403, "origin_not_allowed", "pages of this origin are not allowed")
        if self._peer is not None and edge.policy.is_proxy(self._peer) and not self._counted:
            network = network_of(edge.policy.client_of(self._peer, request.forwarded))
            if edge.networks.count(network) >= edge.limits.max_connections_per_ip:
                edge.counters.refused_per_ip += 1
                raise RefusedError(503, *TOO_MANY_CONNECTIONS, {"retry-after": "10"})
            self._counted = network
            self._outbox.count_for(edge.networks.enter(network))

    def _pays(self, request: RequestInfo, cost: float) -> bool:
        """Charge the address that the request comes from, from now on also for its answer."""
        if self._peer is None:
            return True
        policy = self._edge.policy
        bucket = policy.bucket_of(policy.client_of(self._peer, request.forwarded))
        self._budget.address = bucket
        return bucket is None or bucket.take(trio.current_time(), cost)
