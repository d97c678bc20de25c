"""Everything this package can raise at you.

* ActorError
  + MailboxClosed      you sent to an actor that has stopped for good; nothing was done
  + ActorDied          the actor stopped before it answered you; it may have done half of it
  + StartFailed        a child returned, or let its time run out, before it had started
  + StrayCancelled     a child let out a `trio.Cancelled` that nobody had asked for
  + RestartLimit       a child failed more often than its supervisor allows
  + Fatal              no restart would help: the whole tree ends (subclass it)
    - Unkillable       a child went on running after it was cancelled

A slow answer is `trio.TooSlowError`, a full mailbox is `trio.WouldBlock` and the end of a
mailbox is `trio.EndOfChannel`: Trio already has words for those.
"""

# each name says what happened; "Error" would add nothing


class ActorError(Exception):
    """Base class, for `except` blocks at the edge of the system."""


class MailboxClosed(ActorError):
    """Raised when sending to an actor that has stopped and will not come back.

    An `ask` that was still queued when its actor stopped for good ends with it too: the
    actor never saw the question.
    """


class ActorDied(ActorError):
    """Raised from `ask` when the actor took the question but stopped before it answered.

    What made it stop is in ``__cause__``, if that was an error.
    """


class StartFailed(ActorError):
    """A child ended before it called ``task_status.started()``, or took too long to."""


class StrayCancelled(ActorError):
    """A child let a `trio.Cancelled` escape although nobody had cancelled it.

    Left alone it would look like an orderly stop. Some libraries leak one when a scope
    of their own is torn down in the wrong order.
    """


class RestartLimit(ActorError):
    """Raised by a supervisor that has used up its restart budget.

    The failure that broke the budget is in ``__cause__``.
    """


class Fatal(ActorError):
    """Raised by a child to say that no restart would help, such as a wrong setting.

    Its supervisor stops the other children and passes it up as it is, and so does every
    supervisor above, so the whole tree ends with it. Meant to be subclassed.
    """


class Unkillable(Fatal):
    """Raised by a supervisor when a child went on running after it was cancelled.

    Trio cannot take a task away by force. The task is still there, so leave the process
    without waiting for it (``os._exit``); `trio.run` would wait.
    """
