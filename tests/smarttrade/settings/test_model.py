"""What each variable is when nothing is set, and what it allows."""

from __future__ import annotations

from dataclasses import fields, replace
from ipaddress import ip_network

import pytest
from pydantic import ValidationError

from smarttrade.market.interval import Interval
from smarttrade.session.session_limits import SessionLimits
from smarttrade.settings import VARIABLES, Settings
from smarttrade.web.access import Access
from smarttrade.web.server_limits import ServerLimits

NUMBERS = {
    "PORT": (0, 65535),
    "SMARTTRADE_MAX_CONNECTIONS": (1, 1_000_000),
    "SMARTTRADE_MAX_CONNECTIONS_PER_IP": (1, 1_000_000),
    "SMARTTRADE_HEARTBEAT_INTERVAL": (1, 3600),
    "SMARTTRADE_STALL_TIMEOUT": (1, 3600),
    "SMARTTRADE_MAX_PENDING_BYTES": (262144, 1073741824),
    "SMARTTRADE_MAX_CACHED_BYTES": (0, 1099511627776),
    "SMARTTRADE_MAX_WAITING_BYTES": (1048576, 1099511627776),
    "SMARTTRADE_MAX_WAITING_BYTES_PER_IP": (262144, 1099511627776),
    "SMARTTRADE_MAX_SUBSCRIPTIONS": (1, 100_000),
    "SMARTTRADE_REQUESTS_PER_SECOND": (0.1, 10_000),
    "SMARTTRADE_REQUEST_BURST": (1, 100_000),
    "SMARTTRADE_MAX_BAD_REQUESTS": (1, 100_000),
    "SMARTTRADE_MAX_MESSAGE_BYTES": (1024, 16777216),
    "SMARTTRADE_SESSION_IDLE_TIMEOUT": (1, 86_400),
    "SMARTTRADE_REQUESTS_PER_SECOND_PER_IP": (0.1, 1_000_000),
    "SMARTTRADE_REQUEST_BURST_PER_IP": (1, 1_000_000),
    "SMARTTRADE_HEAD_TIMEOUT": (0.1, 600),
    "SMARTTRADE_KEEP_ALIVE_TIMEOUT": (1, 3600),
    "SMARTTRADE_MAX_HEAD_BYTES": (1024, 1_048_576),
    "SMARTTRADE_MAX_BODY_BYTES": (0, 16_777_216),
    "SMARTTRADE_STOP_TIMEOUT": (0, 9),
    "SMARTTRADE_DRAIN_DELAY": (0, 300),
    "SMARTTRADE_WEIGHT_CEILING": (200, 6000),
    "SMARTTRADE_ROTATE_AFTER": (60, 86_400),
    "SMARTTRADE_AUDIT_ROUND": (10, 86_400),
    "SMARTTRADE_REDIS_TIMEOUT": (0.1, 10),
    "SMARTTRADE_LEASE_TTL": (1, 60),
    "SMARTTRADE_MAX_STORED_CHANGES": (100, 1_000_000),
    "SMARTTRADE_MAX_SERIES_METRICS": (0, 100_000),
    "SMARTTRADE_STALE_AFTER": (2, 3600),
    "SMARTTRADE_SHARDS": (1, 64),
}


def one(name: str, value: str) -> object:
    """What variable `name` is when it is set to `value`."""
    return getattr(Settings.model_validate({name: value}), VARIABLES[name].field)


def is_refused(name: str, value: str) -> bool:
    try:
        one(name, value)
    except ValidationError:
        return True
    return False


def test_defaults_are_those_of_the_contract() -> None:
    settings = Settings()
    assert settings.redis_url is None
    assert settings.use_memory_store is False
    assert settings.binance_rest_url == (
        "https://api.binance.com",
        "https://data-api.binance.vision",
    )
    assert settings.binance_ws_url == (
        "wss://stream.binance.com:9443",
        "wss://data-stream.binance.vision",
    )
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert (settings.log_level, settings.log_format) == ("info", "auto")
    assert settings.symbols == (
        *("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT"),
        *("LTCUSDT", "ADAUSDT", "ALGOUSDT", "ATOMUSDT", "POLUSDT"),
    )
    assert [interval.value for interval in settings.intervals] == [
        *("1m", "5m", "15m", "1h", "4h", "1d")
    ]
    assert (settings.max_connections, settings.max_connections_per_ip) == (10_000, 200)
    assert (settings.heartbeat_interval, settings.stall_timeout, settings.stop_timeout) == (
        25,
        30,
        6,
    )
    assert settings.max_message_bytes == 64 * 1024
    assert settings.weight_ceiling is None
    assert settings.cors_origins == ("*",)


def test_default_settings_are_the_default_limits() -> None:
    assert Settings().server_limits == ServerLimits()
    assert Settings().session_limits == SessionLimits()


def test_limits_are_built_from_their_variables() -> None:
    settings = Settings(
        max_connections=1,
        max_connections_per_ip=2,
        stall_timeout=3,
        max_pending_bytes=400_000,
        max_waiting_bytes=2_000_000,
        max_waiting_bytes_per_ip=1_000_000,
        max_message_bytes=5000,
        max_subscriptions=6,
        requests_per_second=7,
        request_burst=8,
        max_bad_requests=14,
        max_head_bytes=9000,
        max_body_bytes=10,
        head_timeout=11,
        keep_alive_timeout=12,
        session_idle_timeout=13,
    )
    assert settings.server_limits == ServerLimits(
        max_connections=1,
        max_connections_per_ip=2,
        stall_limit=3,
        max_pending_bytes=400_000,
        max_waiting_bytes=2_000_000,
        max_waiting_bytes_per_address=1_000_000,
        session=settings.session_limits,
        message_size=5000,
        head_size=9000,
        body_size=10,
        head_timeout=11,
        keep_alive=12,
    )
    assert settings.session_limits == SessionLimits(
        subscriptions=6,
        message_bytes=5000,
        requests_per_second=7,
        burst=8,
        bad_requests=14,
        idle_timeout=13,
    )


def test_access_is_built_from_its_variables() -> None:
    assert Settings().access(()) == Access()
    settings = Settings(
        cors_origins=("https://a.test",),
        trusted_proxies=(ip_network("10.0.0.0/8"),),
        requests_per_second_per_ip=5,
        request_burst_per_ip=6,
    )
    expected = Access(
        tokens=("t",),
        origins=("https://a.test",),
        cors_origins=("https://a.test",),
        trusted_proxies=(ip_network("10.0.0.0/8"),),
        requests_per_second=5,
        burst=6,
        exempts_loopback=False,
    )
    assert settings.access(["t"]) == expected
    settings = settings.model_copy(update={"origins": ("https://b.test",)})
    assert settings.access(["t"]) == replace(expected, origins=("https://b.test",))


def test_networks_may_be_single_addresses() -> None:
    assert one("SMARTTRADE_TRUSTED_PROXIES", "127.0.0.1, fd00::/8,10.1.2.3/8") == (
        ip_network("127.0.0.1/32"),
        ip_network("fd00::/8"),
        ip_network("10.0.0.0/8"),
    )
    assert is_refused("SMARTTRADE_TRUSTED_PROXIES", "10.0.0.0/33")
    assert is_refused("SMARTTRADE_TRUSTED_PROXIES", "proxy.example.com")


def test_tokens_are_long_and_never_shown() -> None:
    settings = Settings.model_validate(
        {"SMARTTRADE_TOKENS": "0123456789abcdef, another_token-0~1="}
    )
    assert [token.get_secret_value() for token in settings.tokens] == [
        "0123456789abcdef",
        "another_token-0~1=",
    ]
    assert "0123456789" not in repr(settings)
    assert is_refused("SMARTTRADE_TOKENS", "short")
    assert is_refused("SMARTTRADE_TOKENS", "with spaces in between")


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Settings().port = 1


def test_settings_that_do_not_exist_cannot_be_built() -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"prot": 1})


@pytest.mark.parametrize(("name", "limits"), NUMBERS.items())
def test_numbers_are_allowed_up_to_their_limits_and_no_further(
    name: str, limits: tuple[float, float]
) -> None:
    low, high = limits
    for good in (low, high):
        assert one(name, str(good)) == good
    for bad in (low - 1, high + 1, "", "x", "nan", "inf", "-inf", "0x10", "1;2"):
        assert is_refused(name, str(bad)), bad


def test_every_number_is_among_those_tested() -> None:
    settings = Settings()
    numbers = {
        variable.name
        for variable in VARIABLES.values()
        if type(getattr(settings, variable.field)) in (int, float)
    }
    unset = {"SMARTTRADE_REQUESTS_PER_SECOND_PER_IP", "SMARTTRADE_WEIGHT_CEILING"}
    assert numbers | unset == set(NUMBERS)


@pytest.mark.parametrize("text", ["1", "true", "TRUE", "yes", "Yes", " on "])
def test_memory_store_is_chosen_by_any_yes(text: str) -> None:
    assert one("USE_MEMORY_STORE", text) is True


@pytest.mark.parametrize("text", ["0", "false", "No", "off"])
def test_memory_store_is_not_chosen_by_any_no(text: str) -> None:
    assert one("USE_MEMORY_STORE", text) is False


@pytest.mark.parametrize("text", ["maybe", "2", "ja", "1,1"])
def test_memory_store_takes_nothing_else(text: str) -> None:
    assert is_refused("USE_MEMORY_STORE", text)


@pytest.mark.parametrize(
    "text",
    [
        "redis://localhost:6379",
        "redis://localhost",
        "rediss://user:pass@redis.example.com:6380/2?ssl_cert_reqs=none",
        "redis://[::1]:6379/0",
        "unix:///run/redis.sock?db=1",
    ],
)
def test_redis_is_named_by_its_url(text: str) -> None:
    assert one("REDIS_URL", text) == text


@pytest.mark.parametrize(
    "text",
    ["localhost:6379", "http://localhost", "redis://", "redis://h:port", "redis://h:99999", "x y"],
)
def test_redis_is_not_named_by_anything_else(text: str) -> None:
    assert is_refused("REDIS_URL", text)


@pytest.mark.parametrize(
    ("name", "text", "base"),
    [
        ("BINANCE_REST_URL", "https://api.binance.com/api", "https://api.binance.com"),
        ("BINANCE_REST_URL", "https://api.binance.com/api/v3/", "https://api.binance.com"),
        ("BINANCE_REST_URL", "https://proxy/binance/api/v3", "https://proxy/binance"),
        ("BINANCE_WS_URL", "wss://stream.binance.com:9443/ws", "wss://stream.binance.com:9443"),
        ("BINANCE_WS_URL", "wss://stream.binance.com/stream/", "wss://stream.binance.com"),
    ],
)
def test_base_urls_are_understood_as_the_exchange_prints_them(
    name: str, text: str, base: str
) -> None:
    assert one(name, text) == (base,)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("BINANCE_REST_URL", "https://api.binance.com/api/v3/klines"),
        ("BINANCE_REST_URL", "https://api.binance.com/api/v3?symbol=x"),
        ("BINANCE_WS_URL", "wss://stream.binance.com:9443/ws/btcusdt@trade"),
        ("BINANCE_WS_URL", "wss://stream.binance.com:9443/stream?streams=a"),
    ],
)
def test_urls_of_one_resource_are_refused(name: str, text: str) -> None:
    assert is_refused(name, text)


def test_exchange_urls_are_a_list_in_order_without_slashes_at_their_ends() -> None:
    text = "https://a.example/, http://127.0.0.1:9000 ,https://a.example,https://proxy/binance/"
    assert one("BINANCE_REST_URL", text) == (
        "https://a.example",
        "http://127.0.0.1:9000",
        "https://proxy/binance",
    )
    assert one("BINANCE_WS_URL", "ws://[::1]:9000") == ("ws://[::1]:9000",)


@pytest.mark.parametrize(
    "text",
    [
        *("api.binance.com", "wss://x", "https://", "https:///x", "https://x:y", "https://x?a=1"),
        *("https://x#y", "https://x y", "https://good,ftp://bad", "https://[::1", ",", " , "),
    ],
)
def test_exchange_urls_must_be_base_urls_of_their_scheme(text: str) -> None:
    assert is_refused("BINANCE_REST_URL", text)


def test_stream_urls_must_be_websocket_urls() -> None:
    assert is_refused("BINANCE_WS_URL", "https://api.binance.com")


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("localhost", "localhost"),
        ("0.0.0.0", "0.0.0.0"),
        ("::", "::"),
        ("[::1]", "::1"),
        (" my-host.example.com ", "my-host.example.com"),
    ],
)
def test_host_is_a_name_or_an_address(text: str, host: str) -> None:
    assert one("HOST", text) == host


@pytest.mark.parametrize("text", ["http://x", "localhost:8000", "a b", "::g", "a/b", " "])
def test_host_is_nothing_else(text: str) -> None:
    assert is_refused("HOST", text)


def test_log_level_and_format_may_be_in_any_case() -> None:
    assert one("LOG_LEVEL", "WARNING") == "warning"
    assert one("LOG_FORMAT", " JSON") == "json"
    assert is_refused("LOG_LEVEL", "loud")
    assert is_refused("LOG_FORMAT", "xml")


def test_symbols_are_in_upper_case_once_each_in_order() -> None:
    assert one("SMARTTRADE_SYMBOLS", "ethusdt, BTCUSDT,,ETHUSDT") == ("ETHUSDT", "BTCUSDT")


@pytest.mark.parametrize("text", [",", " ", "BTC/USDT", "BTCUSDT;ETHUSDT", "A" * 51])
def test_symbols_must_be_some_that_the_exchange_could_have(text: str) -> None:
    assert is_refused("SMARTTRADE_SYMBOLS", text)


def test_minutes_and_months_are_distinct() -> None:
    text = "1m,1M,1H,4H,1D,1W"
    assert one("SMARTTRADE_INTERVALS", text) == tuple(
        map(Interval, ("1m", "1M", "1h", "4h", "1d", "1w"))
    )


def test_all_intervals_of_the_exchange_may_be_configured() -> None:
    text = ",".join(interval.value for interval in Interval)
    assert one("SMARTTRADE_INTERVALS", text) == tuple(Interval)


@pytest.mark.parametrize("text", ["7m", "1m,7m", "5M", "1 m", ","])
def test_intervals_must_be_those_of_the_exchange(text: str) -> None:
    assert is_refused("SMARTTRADE_INTERVALS", text)


def test_origins_are_compared_as_browsers_send_them() -> None:
    text = "https://Charts.example.com/, http://localhost:3000"
    assert one("SMARTTRADE_CORS_ORIGINS", text) == (
        "https://charts.example.com",
        "http://localhost:3000",
    )


@pytest.mark.parametrize("text", ["charts.example.com", "https://x/path", "https://", "**", ","])
def test_origins_must_be_origins(text: str) -> None:
    assert is_refused("SMARTTRADE_CORS_ORIGINS", text)


def test_shown_settings_have_no_passwords() -> None:
    settings = Settings(
        redis_url="redis://:sesame@h", binance_rest_url=("https://user:sesame@proxy",)
    )
    for shown in (repr(settings), str(settings), f"{settings}"):
        assert "sesame" not in shown
        assert "redis://***@h" in shown


def test_every_variable_documents_its_meaning_and_its_bounds() -> None:
    assert len(VARIABLES) == len(Settings.model_fields)
    for variable in VARIABLES.values():
        assert variable.meaning
        assert variable.allowed
        assert variable.default
        assert "\n" not in f"{variable.meaning}{variable.allowed}{variable.default}"


def test_options_are_all_different() -> None:
    assert len({variable.option for variable in VARIABLES.values()}) == len(VARIABLES)


def test_every_session_limit_in_the_welcome_is_a_setting() -> None:
    documented = {field.name for field in fields(SessionLimits)} - {"bad_requests", "idle_timeout"}
    assert documented == {"subscriptions", "message_bytes", "requests_per_second", "burst"}


@pytest.mark.parametrize(
    ("rest", "stream"),
    [
        ("https://api.binance.com,https://testnet.binance.vision", None),
        ("https://testnet.binance.vision", None),
        (None, "wss://stream.binance.us:9443"),
        ("https://api.binance.us", "wss://stream.testnet.binance.vision"),
        ("https://mirror.example", "wss://stream.binance.us,wss://stream.binance.com"),
    ],
)
def test_hosts_of_different_exchanges_do_not_go_together(
    rest: str | None, stream: str | None
) -> None:
    given = {"BINANCE_REST_URL": rest, "BINANCE_WS_URL": stream}
    with pytest.raises(ValidationError, match="are different exchanges"):
        Settings.model_validate({name: text for name, text in given.items() if text})


@pytest.mark.parametrize(
    ("rest", "stream"),
    [
        ("https://api1.binance.com,https://data-api.binance.vision", "wss://stream.binance.com"),
        ("https://testnet.binance.vision", "wss://stream.testnet.binance.vision"),
        ("https://api.binance.us", "wss://stream.binance.us:9443"),
        ("https://api.binance.com,http://mirror:8080", "ws://mirror:8080"),
    ],
)
def test_hosts_of_one_exchange_go_together(rest: str, stream: str) -> None:
    given = {"BINANCE_REST_URL": rest, "BINANCE_WS_URL": stream}
    Settings.model_validate(given)


def test_process_feeds_all_shards_unless_one_is_named() -> None:
    settings = Settings(shards=2, symbols=("BTCUSDT", "ETHUSDT", "ADAUSDT"))
    assert list(settings.own_shards) == [0, 1]
    assert settings.own_symbols == ("BTCUSDT", "ETHUSDT", "ADAUSDT")
    one = settings.model_copy(update={"shard": 1})
    assert list(one.own_shards) == [1]
    assert one.own_symbols == one.feed_options.symbols == ("BTCUSDT", "ADAUSDT")


def test_shard_is_one_of_those_that_there_are() -> None:
    given = {"SMARTTRADE_SHARDS": "4", "SMARTTRADE_SHARD": "3"}
    assert Settings.model_validate(given).shard == 3
    with pytest.raises(ValidationError, match="SMARTTRADE_SHARDS is 4"):
        Settings.model_validate(given | {"SMARTTRADE_SHARD": "4"})
    assert is_refused("SMARTTRADE_SHARD", "1")
    assert is_refused("SMARTTRADE_SHARD", "-1")
