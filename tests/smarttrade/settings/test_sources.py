from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import permutations
from pathlib import Path

import pytest

from smarttrade.settings import VARIABLES, Settings
from smarttrade.settings.deprecated import DEPRECATED
from smarttrade.settings.sources import BadSettings, Loaded, load_settings


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(
    command_line: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    dotenv: str | bytes | None = None,
) -> Loaded:
    if dotenv is not None:
        Path(".env").write_bytes(dotenv if isinstance(dotenv, bytes) else dotenv.encode())
    return load_settings(command_line or {}, environment=environment or {})


def problems(
    command_line: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    dotenv: str | bytes | None = None,
) -> tuple[str, ...]:
    with pytest.raises(BadSettings) as caught:
        load(command_line, environment, dotenv)
    return caught.value.problems


def test_nothing_set_is_the_default() -> None:
    loaded = load()
    assert loaded.settings == Settings()
    assert loaded.origins == {}


def test_the_later_source_wins() -> None:
    environment = {"PORT": "1", "HOST": "a", "LOG_LEVEL": "debug"}
    loaded = load({"PORT": "3"}, environment, "PORT=2\nHOST=b\n")
    settings = loaded.settings
    assert (settings.port, settings.host, settings.log_level) == (3, "b", "debug")
    assert loaded.origins == {"PORT": "command line", "HOST": ".env", "LOG_LEVEL": "environment"}


def test_set_to_nothing_is_not_set() -> None:
    loaded = load({}, {"PORT": "1", "HOST": ""}, "PORT=\n")
    assert (loaded.settings.port, loaded.settings.host) == (1, "127.0.0.1")


def test_an_empty_option_is_refused() -> None:
    assert len(problems({"SMARTTRADE_SYMBOLS": ""})) == 1


def test_other_variables_are_ignored() -> None:
    loaded = load({}, {"PATH": "/bin", "port": "1", "Host": "x"}, "SECRET=1\n")
    assert loaded.settings == Settings()
    assert loaded.unknown == {}


def test_names_of_earlier_versions_work_and_are_reported_with_their_new_names() -> None:
    loaded = load({}, {"SMARTTRADE_STOP_WITHIN": "3"}, "SMARTTRADE_HEAD_WITHIN=4")
    assert (loaded.settings.stop_timeout, loaded.settings.head_timeout) == (3, 4)
    assert loaded.deprecated == {
        "SMARTTRADE_STOP_WITHIN": "SMARTTRADE_STOP_TIMEOUT",
        "SMARTTRADE_HEAD_WITHIN": "SMARTTRADE_HEAD_TIMEOUT",
    }
    assert loaded.unknown == {}


@pytest.mark.parametrize("names", [*permutations(("SMARTTRADE_LEASE", "SMARTTRADE_LEASE_TTL"))])
def test_current_name_wins_over_a_deprecated_one_of_the_same_source(names: Sequence[str]) -> None:
    values = {"SMARTTRADE_LEASE": "5", "SMARTTRADE_LEASE_TTL": "6"}
    assert load({}, {name: values[name] for name in names}).settings.lease_ttl == 6


def test_every_deprecated_name_has_a_variable() -> None:
    assert set(DEPRECATED.values()) <= set(VARIABLES)
    assert not set(DEPRECATED) & set(VARIABLES)


def test_unknown_variables_are_reported_with_a_suggestion() -> None:
    loaded = load({}, {"SMARTTRADE_SYMBOL": "x", "smarttrade_intervals": "x"}, "SMARTTRADE_=1")
    assert loaded.settings == Settings()
    assert loaded.unknown["SMARTTRADE_SYMBOL"] == "SMARTTRADE_SYMBOLS"
    assert loaded.unknown["smarttrade_intervals"] == "SMARTTRADE_INTERVALS"
    assert "SMARTTRADE_" in loaded.unknown


def test_an_unlike_variable_has_no_suggestion() -> None:
    assert load({}, {"SMARTTRADE_QQQQQQQQQQQQQQQQQQ": "x"}).unknown == {
        "SMARTTRADE_QQQQQQQQQQQQQQQQQQ": None
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", "localhost:6379"),
        ("USE_MEMORY_STORE", "perhaps"),
        ("BINANCE_REST_URL", "ftp://x"),
        ("BINANCE_WS_URL", "https://x"),
        ("HOST", "http://x"),
        ("PORT", "eight"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("SMARTTRADE_SYMBOLS", "BTC/USDT"),
        ("SMARTTRADE_INTERVALS", "7m"),
        ("SMARTTRADE_MAX_CONNECTIONS", "0"),
        ("SMARTTRADE_HEARTBEAT_INTERVAL", "nan"),
        ("SMARTTRADE_CORS_ORIGINS", "example.com"),
    ],
)
def test_a_bad_value_is_one_line_with_variable_value_and_what_is_allowed(
    name: str, value: str
) -> None:
    (problem,) = problems({}, {name: value})
    assert problem.startswith(f"{name}={value!r} (environment): ")
    assert problem.endswith(f"must be {VARIABLES[name].allowed}")
    assert "\n" not in problem


def test_every_problem_is_reported_at_once_with_where_it_came_from() -> None:
    found = problems({"PORT": "-1"}, {"LOG_LEVEL": "loud"}, "SMARTTRADE_INTERVALS=1m,7m")
    assert [re.sub(":.*", "", problem) for problem in found] == [
        "SMARTTRADE_INTERVALS='1m,7m' (.env)",
        "PORT='-1' (command line)",
        "LOG_LEVEL='loud' (environment)",
    ]


def test_of_a_list_the_bad_entries_are_named() -> None:
    (problem,) = problems({"SMARTTRADE_INTERVALS": "1m,7m,1h,9h"})
    assert "wrong: '7m', '9h'" in problem


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", "http://user:sesame@h"),
        ("REDIS_URL", "user:sesame@h"),
        ("REDIS_URL", "redis://h:port?password=sesame"),
        ("BINANCE_REST_URL", "https://user:ses,sesame@h,ftp://x"),
        ("HOST", "redis://user:sesame@h"),
    ],
)
def test_no_password_is_printed(name: str, value: str) -> None:
    (problem,) = problems({}, {name: value})
    assert "ses" not in problem


def test_a_long_or_strange_value_is_still_one_line() -> None:
    (problem,) = problems({"HOST": "a\nb\x1b[31m" + "c" * 10_000})
    assert len(problem) < 500
    assert problem.isprintable()


def test_dotenv_may_have_comments_quotes_exports_and_a_byte_order_mark() -> None:
    text = "\ufeffPORT=1\n# HOST=no\nexport HOST='b'\nLOG_LEVEL=\"debug\" # why\n\n"
    settings = load({}, {}, text).settings
    assert (settings.port, settings.host, settings.log_level) == (1, "b", "debug")


def test_a_line_of_dotenv_without_a_value_is_a_problem() -> None:
    assert problems({}, {}, "PORT=1\nwhat is this\n'") == (
        *(".env line 2: must be NAME=VALUE", ".env line 3: must be NAME=VALUE"),
    )


def test_dotenv_that_is_no_text_is_a_problem() -> None:
    (problem,) = problems({}, {}, b"PORT=1\n\xff\xfe\n")
    assert problem.startswith(".env cannot be read: ")


def test_dotenv_that_is_a_directory_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    (problem,) = problems()
    assert problem.startswith(".env cannot be read: ")
