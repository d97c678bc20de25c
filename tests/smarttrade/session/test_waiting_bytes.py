"""The limit on the memory that waits for clients."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from smarttrade.session.pending import Pending
from smarttrade.session.waiting_bytes import SHARED_FROM, WaitingBytes

LIMIT = 100_000


class Client:
    """Takes nothing; a chunk that has begun is kept until it is reset."""

    def __init__(self, memory: WaitingBytes, *, has_begun: bool = False) -> None:
        self.memory = memory
        self.pending = Pending(memory)
        self.has_begun = has_begun
        self.outcome = "open"
        memory.join(self)

    def post(self, data: bytes) -> None:
        if self.outcome == "open":
            self.pending.append_barrier(data)
            if self.has_begun:
                self.pending.peek()
            self.memory.enforce()

    def held(self, share: Callable[[bytes], float]) -> float:
        return self.pending.held(share)

    def exceed(self) -> None:
        if self.pending:
            self.outcome = "closed"
            self.pending.drop()

    def reset(self) -> None:
        if self.pending:
            self.outcome = "reset"
            self.pending.drop_all()


def test_equal_bytes_count_once() -> None:
    memory = WaitingBytes(LIMIT)
    snapshot = bytes(50_000)
    clients = [Client(memory) for _ in range(100)]
    for client in clients:
        client.post(snapshot)
    assert memory.total == 50_000
    assert {client.outcome for client in clients} == {"open"}
    for client in clients:
        client.pending.drop_all()
    assert memory.total == 0


def test_largest_waiter_is_closed_first() -> None:
    memory = WaitingBytes(LIMIT)
    small, large, late = Client(memory), Client(memory), Client(memory)
    small.post(bytes(20_000))
    large.post(bytes(60_000))
    late.post(bytes(40_000))
    assert [each.outcome for each in (small, large, late)] == ["open", "closed", "open"]
    assert memory.total == 60_000


def test_waiters_of_the_same_bytes_are_no_large_ones() -> None:
    memory = WaitingBytes(LIMIT)
    shared = bytes(60_000)
    honest = [Client(memory) for _ in range(10)]
    for client in honest:
        client.post(shared)
    hostile = Client(memory)
    hostile.post(bytes(30_000))
    hostile.post(bytes(30_000))
    assert hostile.outcome == "closed"
    assert {client.outcome for client in honest} == {"open"}


def test_client_of_a_busy_address_pays_for_its_address_only() -> None:
    process = WaitingBytes(LIMIT)
    hostile, other = WaitingBytes(LIMIT // 4, process), WaitingBytes(LIMIT // 4, process)
    honest = Client(other)
    honest.post(bytes(20_000))
    attackers = [Client(hostile) for _ in range(10)]
    for attacker in attackers:
        attacker.post(bytes(10_000))
    assert honest.outcome == "open"
    assert hostile.total <= LIMIT // 4
    assert process.total == hostile.total + 20_000
    assert sum(attacker.outcome == "open" for attacker in attackers) == 2


def test_chunks_that_have_begun_are_reset_when_they_alone_are_too_much() -> None:
    memory = WaitingBytes(LIMIT)
    clients = [Client(memory, has_begun=True) for _ in range(30)]
    for client in clients:
        client.post(bytes(10_000))
    assert memory.total <= LIMIT
    assert sum(client.outcome == "reset" for client in clients) >= 20


def test_client_that_left_is_not_looked_at() -> None:
    memory = WaitingBytes(LIMIT)
    gone = Client(memory)
    gone.post(bytes(60_000))
    gone.pending.drop_all()
    memory.leave(gone)
    Client(memory).post(bytes(LIMIT))
    assert gone.outcome == "open"


operations = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(["barrier", "keep", "peek", "consume", "drop", "drop_all"]),
        st.integers(0, 3),
    )
)


@given(operations, st.booleans())
def test_total_is_what_is_held(steps: list[tuple[int, str, int]], is_behind: bool) -> None:
    memory = WaitingBytes(10**9)
    objects = [bytes(SHARED_FROM), bytes(SHARED_FROM + 1), bytes(10), bytes(11)]
    pendings = [Pending(memory) for _ in range(3)]
    for index, operation, number in steps:
        pending = pendings[index]
        match operation:
            case "barrier":
                pending.append_barrier(objects[number])
            case "keep":
                pending.put_frames([(number % 2, objects[number])], is_behind=is_behind)
            case "peek":
                pending.peek()
            case "consume":
                pending.consume(min(len(pending.current), 3 * number))
            case "drop":
                pending.drop()
            case "drop_all":
                pending.drop_all()
        assert memory.total >= 0
        shares = sum(
            each.held(lambda data: len(data) / memory._holders.get(id(data), 1))
            for each in pendings
        )
        assert abs(memory.total - shares) < 1
    for pending in pendings:
        pending.drop_all()
    assert memory.total == 0
    assert memory._holders == {}


def test_limit_of_the_process_closes_clients_of_every_address_until_they_leave() -> None:
    process = WaitingBytes(LIMIT)
    addresses = [WaitingBytes(10 * LIMIT, process) for _ in range(2)]
    one, other = (Client(address) for address in addresses)
    one.post(b"1" * 60_000)
    other.post(b"2" * 55_000)
    assert (one.outcome, other.outcome) == ("closed", "open")
    addresses[1].leave(other)
    last = Client(addresses[0])
    last.post(b"3" * 50_000)
    assert (last.outcome, other.outcome) == ("closed", "open")
