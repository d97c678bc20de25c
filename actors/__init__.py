"""Actors on Trio: mailboxes, questions and answers, supervision.

An *actor* is an async function with one loop. Its state is its local variables, so a restart
begins with fresh state; what must survive a restart is passed in. Other tasks reach an actor
through its *mailbox*, a bounded queue that belongs to the code that wires the program and
therefore outlives the actor. A *supervisor* starts actors in order, restarts those that fail,
and stops them in reverse order. Supervisors can be children of supervisors; one that cannot
recover fails, which its parent handles. An actor therefore catches only the exceptions that
it can handle itself.

README.md, beside this file, has an example.

Guarantees:

- Nothing grows without bound: a mailbox has a capacity, and a policy for when it is full.
- No task waits for an answer that cannot come. A question that the actor had received when it
  stopped ends with `ActorDied`; one that is still queued waits for the next run of the
  actor, or ends with `MailboxClosed` if there is none.
- `Supervisor.run` ends after its children have, in order, also when it is cancelled.
- Every error results in a restart, an error of the supervisor, or a log record.

The module `actors.testing` makes the order of tasks repeatable.
"""

from .child import Child
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
from .mailbox import Mailbox
from .overflow import Overflow
from .reply import Reply
from .restart import Backoff, Restart, RestartBudget, Strategy
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
    "render",
    "walk",
]
