"""What can be configured: every variable, once.

The variables are in the modules of their groups, and sources of values in `sources.py`. Each field
has all that the message for a bad value and `smarttrade serve --help` say about its variable.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from ..feed.subtree import FeedOptions
from ..store.shards import shard_of
from .access import AccessSettings
from .client_limits import ClientLimitSettings
from .exchange import ExchangeSettings
from .serving import ServingSettings
from .storage import StorageSettings
from .values import shown


# Pydantic lists the fields of the last base first.
class Settings(
    AccessSettings, ClientLimitSettings, ServingSettings, ExchangeSettings, StorageSettings
):
    """The configuration of one process. Built from nothing, it is the default one."""

    @property
    def own_symbols(self) -> tuple[str, ...]:
        """Those of `symbols` that belong to one of its shards."""
        if self.shard is None:
            return self.symbols
        return tuple(s for s in self.symbols if shard_of(s, self.shards) == self.shard)

    @property
    def feed_options(self) -> FeedOptions:
        return FeedOptions(
            symbols=self.own_symbols,
            weight_ceiling=self.weight_ceiling,
            rotate_after=self.rotate_after,
            audit_round=self.audit_round,
        )

    def __repr_args__(self) -> Iterator[tuple[str, str]]:
        """What logs and tracebacks show has no passwords."""
        for name in type(self).model_fields:
            yield name, shown(getattr(self, name))

    __str__ = BaseModel.__repr__
