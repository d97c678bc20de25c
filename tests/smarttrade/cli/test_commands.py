"""The program from outside: arguments, settings, and what a failure looks like."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import trio

import actors
import smarttrade
from smarttrade.cli import COMMANDS, run
from smarttrade.cli.serve import serve
from smarttrade.errors import Misconfigured
from smarttrade.settings import VARIABLES, Settings
from smarttrade.settings.sources import Loaded
from tests.smarttrade.cli.program import finish, outcome, start

# -- Arguments ----------------------------------------------------------------------------------


def ended(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        run(arguments)
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("--version") == 0
    assert capsys.readouterr().out == f"smarttrade {smarttrade.__version__}\n"


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("--help") == 0
    out = capsys.readouterr().out
    assert all(name in out for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert ended(command, "--help") == 0
    assert f"smarttrade {command}" in capsys.readouterr().out


def helped(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert ended(*arguments) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", ["serve", "ingest", "gateway", "check"])
def test_help_all_describes_every_variable(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    words = "".join(helped(capsys, command, "--help-all").split())
    for variable in VARIABLES.values():
        assert variable.option in words
        described = (variable.name, variable.meaning, variable.allowed)
        text = " ".join((*described, f"default: {variable.default}"))
        assert "".join(text.split()) in words


def test_help_is_short_and_names_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    out = helped(capsys, "serve", "--help")
    assert "--port VALUE" in out
    assert "--stall-timeout" not in out
    assert "--help-all shows every setting" in out
    assert len(out.splitlines()) < 60


@pytest.mark.parametrize(
    "arguments", [*((name, "--help") for name in COMMANDS), ("serve", "--help-all")]
)
def test_help_fits_into_80_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = helped(capsys, *arguments).splitlines()
    assert [line for line in lines if len(line) > 80] == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_commands_and_their_options(
    capsys: pytest.CaptureFixture[str], shell: str
) -> None:
    assert run(["completion", shell]) == 0
    out = capsys.readouterr().out
    assert all(command in out for command in COMMANDS)
    assert "stop-timeout" in out
    assert "stop-within" not in out


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (("sta",), {"status"}),
        (("serve", "--simu"), {"--simulated"}),
        (("tail", "BTCUSDT", "1m", "--cs"), {"--csv"}),
        (("completion", "b"), {"bash"}),
    ],
)
def test_bash_completes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: tuple[str, ...], wanted: set[str]
) -> None:
    run(["completion", "bash"])
    script = tmp_path / "completion.bash"
    words = " ".join(("smarttrade", *line))
    script.write_text(
        capsys.readouterr().out
        + f"COMP_WORDS=({words}); COMP_CWORD={len(line)}; _smarttrade\n"
        + "printf '%s\\n' \"${COMPREPLY[@]}\"\n"
    )
    done = subprocess.run(["bash", script], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == wanted


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("dance",),
        ("serve", "--dance"),
        ("serve", "now"),
        ("serve", "--po", "1"),
        ("serve", "--port"),
        ("tail",),
        ("tail", "BTCUSDT"),
        ("tail", "BTCUSDT", "1m", "--count", "0"),
        ("tail", "BTCUSDT", "1m", "--url", "ftp://x"),
        ("tail", "BTCUSDT", "1m", "--url", "ws://x:y"),
    ],
)
def test_bad_arguments_end_with_status_2_and_a_message(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert ended(*arguments) == 2
    assert "error: " in capsys.readouterr().err


# -- Configuration ------------------------------------------------------------------------------


def test_each_bad_value_is_one_line_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SMARTTRADE_INTERVALS=7m\n")
    status, out, err = outcome(
        tmp_path, "serve", "--port", "99999", LOG_LEVEL="loud", REDIS_URL="http://u:sesame@h"
    )
    assert status == 2
    assert out == ""
    assert [line.split("=")[0] for line in err.splitlines()] == [
        "smarttrade: REDIS_URL",
        "smarttrade: SMARTTRADE_INTERVALS",
        "smarttrade: PORT",
        "smarttrade: LOG_LEVEL",
    ]
    assert "sesame" not in err


RETURNING = """
async def run_service(settings, *, stop, progress, role, simulated=False, task_status, **_):
    print(settings.port, settings.symbols, settings.use_memory_store, simulated)
    task_status.started()
"""


def test_options_reach_the_service_and_unknown_variables_are_warned_about(tmp_path: Path) -> None:
    status, out, err = outcome(
        tmp_path,
        *("serve", "--simulated", "--memory", "--port", "8321", "--symbols", "ethusdt,BTCUSDT"),
        service=RETURNING,
        SMARTTRADE_SYMBOL="x",
    )
    assert status == 0
    assert out == "8321 ('ETHUSDT', 'BTCUSDT') True True\n"
    assert "SmartTrade serves http://127.0.0.1:8321\n" in err
    (warning,) = [line for line in err.splitlines() if "unknown_variable" in line]
    assert "SMARTTRADE_SYMBOLS" in warning


# -- Network ------------------------------------------------------------------------------------

BAD_NETWORK = {"ALL_PROXY": "socks5://h:1", "NO_PROXY": "[::1]", "SSL_CERT_FILE": "/nowhere.pem"}


@pytest.mark.parametrize("command", ["serve", "ingest", "check"])
def test_network_that_cannot_be_used_is_status_2_and_a_line_each(
    tmp_path: Path, command: str
) -> None:
    service = "" if command == "check" else RETURNING
    status, out, err = outcome(tmp_path, command, service=service, **BAD_NETWORK)
    assert (status, out) == (2, "")
    assert [line.split(":")[1].split("=")[0].strip() for line in err.splitlines()] == [
        *("ALL_PROXY", "SSL_CERT_FILE"),
    ]


@pytest.mark.parametrize(
    "command", [("serve", "--simulated"), ("gateway",), ("ingest", "--simulated")]
)
def test_network_settings_are_ignored_by_commands_without_an_exchange(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    status, _, err = outcome(tmp_path, *command, service=RETURNING, **BAD_NETWORK)
    assert status == 0
    assert "PROXY" not in err


# -- Failures -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        actors.RestartLimit("feed failed\ntoo often"),
        actors.Fatal("feed failed too often"),
        ExceptionGroup("", [actors.RestartLimit("feed failed too often")]),
    ],
)
async def test_a_service_that_gives_up_is_one_line_and_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    async def run_service(*_: object, **__: object) -> None:
        raise error

    app = ModuleType("smarttrade.service")
    vars(app)["run_service"] = run_service
    monkeypatch.setitem(sys.modules, "smarttrade.service", app)
    assert await serve(Loaded(Settings(), {}), False, trio.Event()) == 1
    assert capsys.readouterr().err == "smarttrade: feed failed too often\n"


async def test_configuration_that_does_not_fit_what_was_found_is_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run_service(*_: object, **__: object) -> None:
        raise ExceptionGroup("", [Misconfigured("another exchange's candles")])

    app = ModuleType("smarttrade.service")
    vars(app)["run_service"] = run_service
    monkeypatch.setitem(sys.modules, "smarttrade.service", app)
    assert await serve(Loaded(Settings(), {}), False, trio.Event()) == 2
    assert capsys.readouterr().err == "smarttrade: another exchange's candles\n"


def test_an_unexpected_error_is_logged_with_its_traceback(tmp_path: Path) -> None:
    service = """
    async def run_service(settings, **_):
        raise ZeroDivisionError("oh")
    """
    status, _, err = outcome(tmp_path, "serve", service=service)
    assert status == 1
    assert "crashed" in err
    assert "ZeroDivisionError: oh" in err


def test_a_task_that_cannot_be_cancelled_does_not_keep_the_process(tmp_path: Path) -> None:
    service = """
    import actors, trio
    async def stuck():
        with trio.CancelScope(shield=True):
            await trio.sleep_forever()
    async def run_service(settings, **_):
        trio.lowlevel.spawn_system_task(stuck)
        raise actors.Unkillable("the child goes on")
    """
    status, _, err = outcome(tmp_path, "serve", service=service)
    assert (status, err) == (1, "smarttrade: the child goes on\n")


def test_service_whose_port_is_taken_says_so_once(tmp_path: Path, taken_port: int) -> None:
    status, out, err = outcome(
        *(tmp_path, "serve", "--simulated", "--memory", "--port", str(taken_port))
    )
    assert (status, out) == (1, "")
    assert [line for line in err.splitlines() if "is taken" in line] == err.splitlines()[-1:]


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken.getsockname()[1]


def test_a_simulator_whose_port_is_taken_says_so(tmp_path: Path, taken_port: int) -> None:
    status, out, err = outcome(tmp_path, "simulator", "--port", str(taken_port))
    assert status == 1
    assert out == ""
    assert f"cannot serve on 127.0.0.1 port {taken_port}: " in err
    assert len(err.splitlines()) == 1


def test_the_simulator_says_how_to_use_it_and_stops(tmp_path: Path) -> None:
    process = start(tmp_path, "simulator", "--port", "0", "--symbols", "BTCUSDT")
    assert process.stdout is not None
    process.stdout.readline()
    line = process.stdout.readline()
    port = int(line.split()[0].rpartition(":")[2])
    assert (
        line == f"BINANCE_REST_URL=http://127.0.0.1:{port} BINANCE_WS_URL=ws://127.0.0.1:{port}\n"
    )
    process.stdout.readline()
    assert process.stdout.readline().endswith(f"http://localhost:{port}/sim/faults\n")
    process.send_signal(signal.SIGINT)
    assert finish(process) == (0, "", "")
