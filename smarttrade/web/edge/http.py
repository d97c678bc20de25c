"""HTTP/1.1 requests: which are refused, and which kind of stream answers the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, cast

import h11
import trio
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol.events import Body, EndData, Request, Response, StreamClosed
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol, H11WSConnection
from hypercorn.protocol.http_stream import ASGIHTTPState, HTTPStream
from hypercorn.trio.worker_context import EventWrapper
from hypercorn.typing import ASGISendEvent, ConnectionState

from ...session.budget import READ, Budget, Verdict, head_cost
from ...session.outbox import Outbox
from ..access import RequestInfo, request_info
from ..problem import ProblemError
from ..request_target import is_host, origin_form
from .application import AppTasks
from .context import Closing, Edge, Peers, RefusedError
from .parser import LenientConnection
from .problems import problem_events, problem_for
from .request_guard import RETRY_AFTER, TOO_MANY_REQUESTS, RequestGuard
from .websocket import EdgeWebSocket, asks_for_websocket, websocket_headers

_OVER = (h11.MUST_CLOSE, h11.CLOSED, h11.ERROR)
_NO_REQUEST = RequestInfo(b"", b"")
ALLOW = {"Allow": "GET, HEAD, OPTIONS"}
_READABLE = EventWrapper()  # a WebSocket is always read, so no one waits for this one


class EdgeProtocol(H11Protocol):
    def __init__(
        self,
        edge: Edge,
        tasks: AppTasks,
        outbox: Outbox,
        peers: Peers,
        guard: RequestGuard,
        budget: Budget,
        send: Callable[[Event], Awaitable[None]],
    ) -> None:
        super().__init__(
            edge.app,
            edge.config,
            edge.context,
            tasks,
            ConnectionState({"outbox": outbox, "budget": budget}),
            peers.secure,
            peers.client,
            peers.server,
            send,
        )
        self._edge = edge
        self._outbox = outbox
        self._guard = guard
        self._budget = budget
        self._request = _NO_REQUEST
        self._is_refused = False
        self.connection = LenientConnection(
            h11.SERVER, max_incomplete_event_size=edge.limits.head_size
        )

    @property
    def is_http(self) -> bool:
        """Whether no WebSocket has begun."""
        return isinstance(self.connection, h11.Connection)

    @property
    def has_begun(self) -> bool:
        """Whether there are bytes of a request that is not complete, or that was not HTTP."""
        connection = self.connection
        return not isinstance(connection, h11.Connection) or bool(connection.trailing_data[0])

    async def handle(self, event: Event) -> None:
        try:
            if isinstance(event, RawData):
                await self._charge_data(event.data)
            await super().handle(event)
        except RefusedError as refused:
            await self._edge.admissions.take(self._budget.address)
            await self._refuse(refused)
            await self.send(Closed())

    async def _charge_data(self, data: bytes) -> None:
        if self._is_within_request:
            await self._charge_read()
        if head_cost(len(data)) and self._awaits_head:
            await self._charge_head(data)

    @property
    def _awaits_head(self) -> bool:
        connection = self.connection
        return isinstance(connection, h11.Connection) and connection.their_state is h11.IDLE

    async def _charge_head(self, data: bytes) -> None:
        """A long head costs us much to parse; so it is paid before.

        Raises:
            RefusedError: its address sends too many.
        """
        if not self._budget.take(trio.current_time(), head_cost(len(data))):
            self._edge.counters.refused_rate += 1
            raise RefusedError(429, *TOO_MANY_REQUESTS, RETRY_AFTER)
        await self._budget.take_turn()

    async def _charge_read(self) -> None:
        """A request that comes in many small pieces costs us much and its client little.

        Raises:
            RefusedError: there were too many.
        """
        if self._budget.spend_piece(trio.current_time(), READ) is not Verdict.PAID:
            self._edge.counters.flooding += 1
            raise RefusedError(429, "too_many_pieces", "the request comes in too many pieces")
        await self._budget.take_turn()

    @property
    def _is_within_request(self) -> bool:
        connection = self.connection
        return isinstance(connection, h11.Connection) and (
            connection.their_state is h11.SEND_BODY or bool(connection.trailing_data[0])
        )

    async def _refuse(self, refused: RefusedError) -> None:
        """Answer in place of the application, unless it has begun to."""
        if self.connection.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        self._is_refused = True
        problem = ProblemError(refused.status, refused.code, str(refused))
        status, headers, body = problem.parts()
        method, origin = self._request.method.decode("latin-1"), self._request.origin
        lines = [*headers.items(), *refused.headers.items()]
        lines += self._edge.cors.headers(origin, method)
        lines += [("Content-Length", str(len(body))), ("Connection", "close")]
        reason = HTTPStatus(status).phrase.encode()
        send = super()._send_h11_event
        await send(h11.Response(status_code=status, headers=lines, reason=reason))
        if method != "HEAD":
            await send(h11.Data(data=body))
        await send(h11.EndOfMessage())

    async def _send_error_response(self, status_code: int) -> None:
        if self.connection.our_state is h11.IDLE:  # nothing is known of the request
            self._request = _NO_REQUEST
        problem = problem_for(status_code)
        await self._refuse(RefusedError(status_code, problem.code, str(problem)))

    async def _send_h11_event(self, event: Any) -> None:
        """What an application sends once its client's mistake is being answered is dropped."""
        if self._is_refused or self.connection.our_state in _OVER:
            await trio.lowlevel.checkpoint()
        else:
            await super()._send_h11_event(event)

    async def stream_send(self, event: StreamEvent) -> None:
        await super().stream_send(event)
        if isinstance(event, EndData):
            await self.send(Closing())
        elif isinstance(event, Response) and event.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            self._release_http()

    def _release_http(self) -> None:
        """A WebSocket is open: what read and answered its request takes 4 KB and is not needed."""
        self._request = _NO_REQUEST
        self.can_read = _READABLE
        if isinstance(self.connection, H11WSConnection):
            self.connection.h11_connection = cast("h11.Connection", None)

    async def _check_protocol(self, event: h11.Request) -> None:
        """Refuse what no client of ours sends; runs before anything is built for the request."""
        self._request = request = request_info(event.method, event.target, event.headers)
        if event.http_version not in (b"1.0", b"1.1"):
            raise RefusedError(505, "http_version_not_supported", "HTTP/1.1 is spoken here")
        self._check_form(event)
        size = len(event.target) + sum(len(name) + len(value) + 4 for name, value in event.headers)
        if size > self._edge.limits.head_size:
            self._edge.counters.oversized_heads += 1
            raise RefusedError(431, "head_too_large", "the request's headers are too large")
        if _content_length(event) > self._edge.limits.body_size:
            self._edge.counters.oversized_bodies += 1
            raise RefusedError(413, "body_too_large", "nothing here takes such a body")
        self._guard.admit(request, opens_websocket=asks_for_websocket(event))
        await self._edge.admissions.take(self._budget.address)

    def _check_form(self, request: h11.Request) -> None:
        """Refuse what a proxy and this server may understand differently."""
        names = {name for name, _ in request.headers}
        if {b"content-length", b"transfer-encoding"} <= names:  # RFC 9112, 6.1 and 11.2
            raise RefusedError(400, "bad_request", "a request has a length or chunks, not both")
        if request.method.upper() != request.method:  # case-sensitive: RFC 9110, 9.1
            raise RefusedError(405, "method_not_allowed", "there is no such method", ALLOW)
        hosts = [value for name, value in request.headers if name == b"host"]
        if not all(map(is_host, hosts)):  # RFC 9112, 3.2
            raise RefusedError(400, "bad_host", "the Host header names no host")
        if origin_form(request.target) is None and request.target != b"*":
            raise RefusedError(400, "bad_target", "the request's target is no path")
        if request.target.startswith(b"//"):  # the router would take it for one slash
            raise RefusedError(404, "not_found", "nothing is at a path that begins with //")

    async def _create_stream(self, request: h11.Request) -> None:
        headers = list(request.headers)
        target, host = origin_form(request.target) or (request.target, None)
        if host is not None:
            headers = [(name, value) for name, value in headers if name != b"host"]
            headers.insert(0, (b"host", host))
        if asks_for_websocket(request):
            headers = websocket_headers(headers)
            self.stream = EdgeWebSocket(
                self._edge, self._outbox, self._budget, self._stream_arguments()
            )
            self.connection = H11WSConnection(cast("h11.Connection", self.connection))
        else:
            self.stream = EdgeHTTP(self._edge, self._budget, self._stream_arguments())
        stream = self.stream
        await stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=headers,
                http_version=request.http_version.decode(),
                method=request.method.decode("ascii"),
                raw_path=target,
                state=self.connection_state,
            )
        )
        self.keep_alive_requests += 1
        if stream.closed:  # a handshake that Hypercorn refused and then left open
            await self.send(Closed())

    def _stream_arguments(self) -> tuple[Any, ...]:
        """What Hypercorn's streams are made of."""
        return (
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            STREAM_ID,
        )


class EdgeHTTP(HTTPStream):
    def __init__(self, edge: Edge, budget: Budget, arguments: tuple[Any, ...]) -> None:
        super().__init__(*arguments)
        self._edge = edge
        self._budget = budget
        self._body_size = 0

    async def handle(self, event: StreamEvent) -> None:
        if isinstance(event, Body) and not self.closed:
            self._body_size += len(event.data)
            if self._body_size > self._edge.limits.body_size:
                await self._refuse()
                return
        await super().handle(event)

    async def _send_error_response(self, status_code: int) -> None:
        self.state = ASGIHTTPState.CLOSED  # the application may answer meanwhile
        for event in problem_events(status_code, self.stream_id):
            await self.send(event)

    async def _refuse(self) -> None:
        self._edge.counters.oversized_bodies += 1
        if self.state is ASGIHTTPState.REQUEST:
            await self._send_error_response(413)
        await self.send(StreamClosed(stream_id=self.stream_id))

    async def app_send(self, message: ASGISendEvent | None) -> None:
        is_over = self.closed or (message is not None and self.state is ASGIHTTPState.CLOSED)
        if is_over:
            await trio.lowlevel.checkpoint()
            return
        if message is not None and message["type"] == "http.response.body":
            self._budget.debit_bytes(len(message["body"]))
        await super().app_send(message)


def _content_length(request: h11.Request) -> int:
    lengths = [int(value) for name, value in request.headers if name == b"content-length"]
    return max(lengths, default=0)
