from __future__ import annotations

import ssl

from smarttrade.cli.error_text import matching_error_text, root_cause_text


def raised(error: Exception, cause: BaseException | None) -> Exception:
    error.__cause__ = cause
    return error


def test_what_the_system_said_is_found_below_everything() -> None:
    refused = ConnectionRefusedError(111, "Connection refused")
    all_of_them = raised(OSError("all attempts failed"), ExceptionGroup("", [refused, refused]))
    assert root_cause_text(raised(RuntimeError("no exchange"), all_of_them)) == "Connection refused"


def test_what_was_being_handled_counts_too_unless_it_was_put_aside() -> None:
    error = RuntimeError("shown")
    error.__context__ = OSError(1, "hidden")
    assert root_cause_text(error) == "hidden"
    error.__suppress_context__ = True
    assert root_cause_text(error) == "shown"


def test_what_was_handed_on_as_an_argument_counts_too() -> None:
    assert root_cause_text(RuntimeError(OSError(111, "Connection refused"))) == "Connection refused"


def test_what_was_wrong_with_a_certificate_is_said() -> None:
    bad = ssl.SSLCertVerificationError(1, "certificate verify failed: self-signed certificate")
    assert "self-signed" in root_cause_text(raised(RuntimeError("x"), bad))


def test_an_error_without_the_system_says_what_it_says_on_one_line() -> None:
    assert root_cause_text(ValueError("a\n  b")) == "a b"
    assert root_cause_text(ValueError()) == "ValueError()"


def test_a_reason_is_found_in_groups_and_only_of_the_kinds_asked_for() -> None:
    group = ExceptionGroup("", [ValueError("no"), ExceptionGroup("", [KeyError("yes")])])
    assert matching_error_text(group, (KeyError,)) == "'yes'"
    assert matching_error_text(group, (OSError,)) is None
