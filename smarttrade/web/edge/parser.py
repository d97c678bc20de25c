"""h11, lenient where RFC 9112 wants a server to be."""

from __future__ import annotations

import h11


class LenientConnection(h11.Connection):
    """The requests of one client."""

    _has_skipped_line = False

    def next_event(self) -> type[h11.NEED_DATA | h11.PAUSED] | h11.Event:
        """Skips one empty line before a request (2.2), and anything after the last one (9.6)."""
        waiting = self.trailing_data[0]
        if waiting and self.their_state in (h11.MUST_CLOSE, h11.CLOSED):
            return h11.NEED_DATA
        if self._is_before_request and waiting.startswith(b"\r\n"):
            self._receive_buffer.maybe_extract_at_most(2)
            self._has_skipped_line = True
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._has_skipped_line = False
        return event

    @property
    def _is_before_request(self) -> bool:
        return self.their_state is h11.IDLE and not self._has_skipped_line
