from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest

from smarttrade.settings import Settings
from smarttrade.settings.files import access_of, check_files, tls_of
from smarttrade.settings.sources import BadSettings, load_settings

TOKEN = "0123456789abcdef"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    directory = tmp_path_factory.mktemp("tls")
    cert, key = directory / "cert.pem", directory / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"),
            *("ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj", "/CN=test"),
            *("-keyout", str(key), "-out", str(cert)),
        ],
        check=True,
        capture_output=True,
    )
    return cert, key


def problems(**given: object) -> str:
    with pytest.raises(BadSettings) as caught:
        check_files(Settings.model_validate(given))
    return str(caught.value)


def test_tokens_come_from_the_environment_and_a_file(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"# of the front end\n{TOKEN}-1  # since May\n\n{TOKEN}\n{TOKEN}-2\n")
    settings = Settings.model_validate({"SMARTTRADE_TOKENS": TOKEN, "tokens_file": file})
    assert access_of(settings).tokens == (TOKEN, f"{TOKEN}-1", f"{TOKEN}-2")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "cannot be read: No such file"),
        (b"\xff\xfe", "not a text file"),
        (b"# none\n", "has no token in it"),
        (b"\nsecret but bad\n", "line 2: must be 16 or more"),
    ],
)
def test_a_bad_token_file_is_reported_without_its_content(
    tmp_path: Path, content: bytes | None, expected: str
) -> None:
    file = tmp_path / "tokens"
    if content is not None:
        file.write_bytes(content)
    problem = problems(tokens_file=file)
    assert problem.startswith(f"SMARTTRADE_TOKENS_FILE='{file}'")
    assert expected in problem
    assert "secret" not in problem


def test_a_bad_token_is_reported_without_the_token() -> None:
    with pytest.raises(BadSettings) as caught:
        load_settings(environment={"SMARTTRADE_TOKENS": f"{TOKEN},oh no"}, dotenv=Path("/none"))
    assert str(caught.value).startswith("SMARTTRADE_TOKENS=*** (environment): must be tokens")
    assert "oh no" not in str(caught.value)


def test_without_files_there_is_no_tls() -> None:
    assert tls_of(Settings()) is None
    assert Settings().scheme == "http"


def test_a_certificate_and_its_key_make_tls(certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    settings = Settings(tls_cert=cert, tls_key=key)
    context = tls_of(settings)
    assert context is not None
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert settings.scheme == "https"


def test_a_bad_certificate_is_reported_with_its_fault(
    tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    cert, key = certificate
    other = tmp_path / "key.pem"
    other.write_text("nonsense")
    assert (
        problems(tls_cert=cert)
        == "SMARTTRADE_TLS_KEY is not set: it belongs to SMARTTRADE_TLS_CERT"
    )
    assert problems(tls_key=key).startswith("SMARTTRADE_TLS_CERT is not set")
    assert "cannot be used" in problems(tls_cert=cert, tls_key=other)
    assert "No such file" in problems(tls_cert=cert, tls_key=tmp_path / "none.pem")


def test_a_key_with_a_password_is_refused_without_asking(
    tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    cert, key = certificate
    locked = tmp_path / "locked.pem"
    subprocess.run(
        ["openssl", "ec", "-in", key, "-aes128", "-passout", "pass:word", "-out", locked],
        check=True,
        capture_output=True,
    )
    assert "cannot be used" in problems(tls_cert=cert, tls_key=locked)
