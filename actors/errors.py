"""The exceptions of this package.

* ActorError
  + MailboxClosed      the actor has stopped permanently; the message was not received
  + ActorDied          the actor stopped before it answered; the request may be half done
  + StartFailed        a child returned, or its start timeout passed, before it had started
  + StrayCancelled     a `trio.Cancelled` left a child that was not cancelled
  + RestartLimit       a child failed more often than its supervisor allows
  + Fatal              a restart would not help: the whole tree ends (meant to be subclassed)
    - Unkillable       a child is still running after it was cancelled

A slow answer is `trio.TooSlowError`, a full mailbox is `trio.WouldBlock` and the end of a
mailbox is `trio.EndOfChannel`: Trio already has exceptions for those.
"""


class ActorError(Exception):
    """Base class of all exceptions here."""


class MailboxClosed(ActorError):
    """Raised when sending to an actor that has stopped and will not be restarted.

    Also raised by an `ask` whose question was still queued when the actor stopped: the
    actor never received it.
    """


class ActorDied(ActorError):
    """Raised by `ask` when the actor received the question but stopped before answering.

    If an error stopped it, that is the ``__cause__``.
    """


class StartFailed(ActorError):
    """A child ended before it called ``task_status.started()``, or took too long to."""


class StrayCancelled(ActorError):
    """A `trio.Cancelled` left a child although the child was not cancelled.

    It would otherwise look like an orderly stop. Some libraries leak one, such as
    trio-websocket: https://github.com/python-trio/trio-websocket/issues/184
    """


class RestartLimit(ActorError):
    """Raised by a supervisor that has exceeded its restart budget.

    The failure that exceeded it is the ``__cause__``.
    """


class Fatal(ActorError):
    """Raised by a child when a restart would not help, such as for a wrong setting.

    Its supervisor stops the other children and re-raises it unchanged, and so does every
    supervisor above, so the whole tree ends. Meant to be subclassed.
    """


class Unkillable(Fatal):
    """Raised by a supervisor when a child is still running after it was cancelled.

    Trio cannot kill a task. `trio.run` would wait for it, so end the process without
    waiting (``os._exit``).
    """
