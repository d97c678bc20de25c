"""CPU time of one send on this machine: the least that a message costs a server which sends each alone.

It depends on the machine and on what else runs there, more than anything else in the fan-out: whether
another processor must be woken for the receiver. So it is printed with the figures of each run.
"""

from __future__ import annotations

import multiprocessing
import select
import socket
import time

CLIENTS = 300
ROUNDS = 10
PAUSE = 0.1  # seconds, in which the receiver falls asleep
MESSAGE = bytes(190)  # the size of an update of a candle


def microseconds_per_send() -> float:
    """Of CPU time, of one process that sends to many connections of another one."""
    with socket.create_server(("127.0.0.1", 0), backlog=CLIENTS) as listener:
        receiver = multiprocessing.Process(target=_receive, args=(listener,), daemon=True)
        receiver.start()
        address = listener.getsockname()
        connections = [socket.create_connection(address) for _ in range(CLIENTS)]
    try:
        used = sum(_send_to_all(connections) for _ in range(ROUNDS))
    finally:
        receiver.terminate()
        receiver.join()
        for connection in connections:
            connection.close()
    return used / (CLIENTS * ROUNDS) * 1e6


def _send_to_all(connections: list[socket.socket]) -> float:
    time.sleep(PAUSE)
    began = time.process_time()
    for connection in connections:
        connection.send(MESSAGE)
    return time.process_time() - began


def _receive(listener: socket.socket) -> None:
    poll = select.epoll()
    accepted = {}
    for _ in range(CLIENTS):
        connection, _ = listener.accept()
        accepted[connection.fileno()] = connection
        poll.register(connection, select.EPOLLIN)
    while True:
        for number, _ in poll.poll():
            accepted[number].recv(65536)
