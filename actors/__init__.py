"""Actors on Trio: mailboxes, questions and answers, supervision.

An *actor* is an async function with one loop. Its state is its local variables, so a
restart starts clean; what must survive is passed in. Others reach it through its
*mailbox*, a bounded queue that belongs to whoever wires the program and so outlives the
actor. A *supervisor* starts actors in order, restarts those that fail, and stops them in
reverse; supervisors stand below supervisors, and one that cannot help fails to the one
above. An actor therefore catches only what it can answer, and lets everything else go.

    from dataclasses import dataclass
    from functools import partial

    import trio
    from actors import Child, Mailbox, Reply, RestartBudget, Strategy, Supervisor

    @dataclass(frozen=True)
    class Add:
        amount: int
        reply: Reply[int]

    async def run_counter(mailbox, *, task_status=trio.TASK_STATUS_IGNORED):
        total = 0  # a restart begins here
        task_status.started()
        async for message in mailbox:
            with message.reply:  # if this block fails, the asker knows at once
                total += message.amount
                message.reply.set(total)

    async def main():
        counter = Mailbox[Add]("counter", capacity=16)
        service = Supervisor(
            "service",
            [Child("counter", partial(run_counter, counter), mailbox=counter)],
            strategy=Strategy.ONE_FOR_ONE,
            budget=RestartBudget(3, within=60),
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(service.run)
            with trio.fail_after(2):  # the limit belongs to the asker
                await counter.ask(partial(Add, 1))
                print(await counter.ask(partial(Add, 2)))  # 3
            service.stop()

    trio.run(main)

What holds, whatever fails:

- Nothing grows without bound: a mailbox has a capacity and says what happens beyond it.
- Nobody waits for an answer that cannot come. A question that the actor had taken when it
  stopped ends with `ActorDied`; one that is still queued waits for the next life of the
  actor, or ends with `MailboxClosed` if there is none.
- `Supervisor.run` ends after its children, in order, also when it is cancelled.
- An error ends in a restart, in an error of the supervisor, or in the log: never nowhere.

The module `actors.testing` makes the order of tasks repeatable.
"""

from .errors import (
    ActorDied,
    ActorError,
    Fatal,
    MailboxClosed,
    RestartLimit,
    StartFailed,
    StrayCancelled,
    Unkillable,
)
from .inspection import ActorInfo, State, render, walk
from .life import Child
from .mailbox import Mailbox
from .overflow import Overflow
from .reply import Reply
from .restart import Backoff, Restart, RestartBudget, Strategy, affected
from .supervisor import Supervisor

__all__ = [
    "ActorDied",
    "ActorError",
    "ActorInfo",
    "Backoff",
    "Child",
    "Fatal",
    "Mailbox",
    "MailboxClosed",
    "Overflow",
    "Reply",
    "Restart",
    "RestartBudget",
    "RestartLimit",
    "StartFailed",
    "State",
    "Strategy",
    "StrayCancelled",
    "Supervisor",
    "Unkillable",
    "affected",
    "render",
    "walk",
]
