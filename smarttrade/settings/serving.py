"""Variables of one process: where it serves, how it logs and stops."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator

from ..session.encoded_cache import MAX_CACHED_BYTES
from .fields import PREFIX, Variables, number, variable
from .values import host_name, lower


class ServingSettings(Variables):
    host: Annotated[str, BeforeValidator(host_name)] = variable(
        "HOST",
        "127.0.0.1",
        "where to serve; 0.0.0.0 is every network of this machine",
        allowed="a host name or an address, without scheme and port",
    )
    port: int = number("PORT", 8000, "where to serve; 0 takes a free port", 0, 65535, "")
    reuse_port: Annotated[bool, BeforeValidator(lower)] = variable(
        f"{PREFIX}REUSE_PORT",
        False,
        "several processes of this machine may serve at the same port, and share its clients",
        allowed="1, true, yes, 0, false or no",
    )
    log_level: Annotated[
        Literal["debug", "info", "warning", "error", "critical"], BeforeValidator(lower)
    ] = variable(
        "LOG_LEVEL",
        "info",
        "the least important log lines to write",
        allowed="debug, info, warning, error or critical",
    )
    log_format: Annotated[Literal["auto", "text", "json"], BeforeValidator(lower)] = variable(
        "LOG_FORMAT",
        "auto",
        "auto is text on a terminal and JSON lines elsewhere",
        allowed="auto, text or json",
    )
    heartbeat_interval: float = number(
        f"{PREFIX}HEARTBEAT_INTERVAL", 25.0, "time between two heartbeats to a client", 1, 3600, "s"
    )
    max_series_metrics: int = number(
        f"{PREFIX}MAX_SERIES_METRICS",
        1000,
        "with more series, /metrics says how many are ready and has nothing of each",
        *(0, 100_000, ""),
    )
    max_cached_bytes: int = number(
        f"{PREFIX}MAX_CACHED_BYTES",
        MAX_CACHED_BYTES,
        "memory for encoded candles, pages and snapshots, all together; the last used are kept",
        *(0, 1024**4, "bytes"),
    )
    stop_timeout: float = number(
        f"{PREFIX}STOP_TIMEOUT", 6.0, "clients have so long to leave when we stop", 0, 9, "s"
    )
    drain_delay: float = number(
        f"{PREFIX}DRAIN_DELAY",
        0.0,
        "after a signal to stop, time in which the service is not ready but still accepts clients,"
        " for load balancers to notice",
        *(0, 300, "s"),
    )
    tls_cert: Path | None = variable(
        f"{PREFIX}TLS_CERT",
        None,
        "certificate chain to serve TLS with",
        allowed="a PEM file that can be read",
    )
    tls_key: Path | None = variable(
        f"{PREFIX}TLS_KEY",
        None,
        "private key of the certificate",
        allowed="a PEM file that can be read, without a password",
    )

    @property
    def scheme(self) -> str:
        """Of the URLs that we serve."""
        return "http" if self.tls_cert is None else "https"
