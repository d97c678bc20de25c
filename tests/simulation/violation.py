"""What must never happen, by name, and the exception for when it has."""

from __future__ import annotations

INVARIANTS = {
    "ascending-and-capped": "a window, a page, a snapshot: ascending, no time twice, at most 1000",
    "never-back": "within one process and one connection no series goes back to an older candle,"
    " and a forming candle loses no volume",
    "final-is-final": "a candle that is served as closed is over, and as the exchange has it (or had"
    " it before it altered its history)",
    "each-close-once": "within one connection no candle is sent again after its close, unless as"
    " a correction",
    "no-gap-at-hand-over": "no update comes before the snapshot, and a snapshot `since` reaches"
    " back to what the client holds, or says that it does not",
    "only-what-was-asked": "nothing comes of a series that was not subscribed, or no longer is",
    "rest-is-the-truth-or-a-gap": "what a page has not got, the exchange has not either, or it is"
    " reported as an unfilled gap; what it has, the exchange has",
    "contract": "every message can be read, every status and close code is one of the contract's",
    "answers-in-time": "an answer takes no virtual time unless something is broken just then",
    "healthy-unaffected": "where only single symbols or shards have faults, clients of all others have every"
    " candle within 30 s of its end",
    "bounded": "mailboxes and what is pending for a client are within their bounds",
    "budgets": "the exchange's limits are never exceeded; a process that it blocked asks nothing",
    "silence-ends": "a connection that is open and silent is replaced by one to another host, even"
    " if REST cannot prove that there were trades",
    "silence-is-reported": "clients of a gateway learn that their feed is stale when a shard of theirs"
    " is not written for longer than the setting allows, and no others do",
    "stored-never-back": "no write undoes a stored close, or ends a stored list earlier",
    "one-writer": "nothing is written to Redis but by the one who leads",
    "no-failure-of-our-own": "no actor and no connection fails, but for crashes on purpose",
    "tree-comes-back": "a process ends only when it was asked to, was killed, or has had more"
    " crashes on purpose than its budget allows",
    "ready-again": "after the last fault every process is ready within 150 s, or when the pauses are"
    " over for which hosts are left alone",
    "equal-once-calm": "then every window that is served, and every view that a steady client has"
    " built from nothing but what it was sent, over all its connections, equals the exchange's:"
    " every candle, each one closed; and so does every list that is stored",
    "stops-in-time": "a stop, at any moment and with any clients, ends within its limit",
    "nothing-left": "after a stop no task and no connection to the exchange is left",
}


class Violation(Exception):
    """One of `INVARIANTS` was broken."""

    def __init__(self, invariant: str, text: str) -> None:
        assert invariant in INVARIANTS
        super().__init__(f"{invariant}: {text}")
        self.invariant = invariant
        self.text = text
