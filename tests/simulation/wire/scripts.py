"""The product's Lua scripts, run by Lua."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha1
from typing import Any

from lupa import lua51

from .keyspace import WRITING, Keyspace, ReplyError, Status, refuse_write


class Scripts:
    """Those that a site's servers were sent; what a script may call is that of Redis."""

    def __init__(self) -> None:
        self._lua = lua51.LuaRuntime(encoding=None)
        self._compiled: dict[bytes, Any] = {}
        self._keyspace = Keyspace()
        self._is_replica = False
        self.has_written = False
        table = self._lua.table_from
        redis = {b"call": self._call, b"pcall": self._pcall, b"sha1hex": _sha1hex}
        self._redis = table(redis)
        self._cjson = table({b"decode": lambda text: table(json.loads(text))})

    def compile(self, text: bytes) -> bytes:
        """Returns its digest."""
        digest = _sha1hex(text)
        if digest not in self._compiled:
            whole = b"function(redis, cjson, KEYS, ARGV) " + text + b"\nend"
            self._compiled[digest] = self._lua.eval(whole)
        return digest

    def run(
        self,
        digest: bytes,
        keys: Sequence[bytes],
        arguments: Sequence[bytes],
        keyspace: Keyspace,
        *,
        is_replica: bool,
    ) -> Any:
        """Raises: ReplyError."""
        self._keyspace, self._is_replica, self.has_written = keyspace, is_replica, False
        table = self._lua.table_from
        answer = self._compiled[digest](self._redis, self._cjson, table(keys), table(arguments))
        return self._reply(answer)

    def _call(self, *command: Any) -> Any:
        words = [_text(word) for word in command]
        if words[0].upper() in WRITING:
            self.has_written = True
            if self._is_replica:
                refuse_write()
        return self._given(self._keyspace.run(words))

    def _pcall(self, *command: Any) -> Any:
        try:
            return self._call(*command)
        except ReplyError as error:
            return self._lua.table_from({b"err": str(error).encode()})

    def _given(self, reply: Any) -> Any:
        """As Lua has it."""
        match reply:
            case None:
                return False
            case Status():
                return self._lua.table_from({b"ok": bytes(reply)})
            case list():
                is_plain = set(map(type, reply)) <= {bytes}
                given = reply if is_plain else [self._given(each) for each in reply]
                return self._lua.table_from(given)
        return reply

    def _reply(self, answer: Any) -> Any:
        """As a client gets it."""
        match answer:
            case None | False:
                return None
            case True:
                return 1
            case bytes():
                return answer
            case int() | float():
                return int(answer)
        replies: list[Any] = []
        while (each := answer[len(replies) + 1]) is not None:
            replies.append(self._reply(each))
        return replies


def _sha1hex(text: bytes) -> bytes:
    return sha1(text, usedforsecurity=False).hexdigest().encode()


def _text(word: Any) -> bytes:
    if isinstance(word, bytes):
        return word
    return b"%d" % word if word == int(word) else repr(word).encode()
