from __future__ import annotations

import ssl

from smarttrade.cli.error_text import matching_error_text, root_cause_text


def raised(error: Exception, cause: BaseException | None) -> Exception:
    error.__cause__ = cause
    return error


def test_the_error_of_the_system_is_found_at_any_depth() -> None:
    refused = ConnectionRefusedError(111, "Connection refused")
    all_of_them = raised(OSError("all attempts failed"), ExceptionGroup("", [refused, refused]))
    assert root_cause_text(raised(RuntimeError("no exchange"), all_of_them)) == "Connection refused"


def test_context_is_searched_unless_it_is_suppressed() -> None:
    error = RuntimeError("shown")
    error.__context__ = OSError(1, "hidden")
    assert root_cause_text(error) == "hidden"
    error.__suppress_context__ = True
    assert root_cause_text(error) == "shown"


def test_an_error_that_is_an_argument_is_searched() -> None:
    assert root_cause_text(RuntimeError(OSError(111, "Connection refused"))) == "Connection refused"


def test_a_bad_certificate_is_named() -> None:
    bad = ssl.SSLCertVerificationError(1, "certificate verify failed: self-signed certificate")
    assert "self-signed" in root_cause_text(raised(RuntimeError("x"), bad))


def test_another_error_is_its_text_on_one_line() -> None:
    assert root_cause_text(ValueError("a\n  b")) == "a b"
    assert root_cause_text(ValueError()) == "ValueError()"


def test_a_cause_is_found_in_groups_by_its_type() -> None:
    group = ExceptionGroup("", [ValueError("no"), ExceptionGroup("", [KeyError("yes")])])
    assert matching_error_text(group, (KeyError,)) == "'yes'"
    assert matching_error_text(group, (OSError,)) is None
