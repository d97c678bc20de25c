import pytest
import trio

from actors import ActorError, Fatal, StrayCancelled
from actors.failure import child_failure, fatal_part, format_error

from .fakes import leaked_cancelled


class BadSettings(Fatal):
    pass


async def test_stray_cancelled_is_a_failure() -> None:
    stray = await leaked_cancelled()
    assert isinstance(child_failure(stray), StrayCancelled)
    assert isinstance(child_failure(BaseExceptionGroup("", [stray, stray])), StrayCancelled)


async def test_cancelled_of_the_whole_run_is_raised_again() -> None:
    stray = await leaked_cancelled()
    with trio.CancelScope() as scope:  # noqa: ASYNC100
        scope.cancel()
        with pytest.raises(trio.Cancelled):
            child_failure(stray)


async def test_error_beside_a_cancelled_is_the_failure() -> None:
    error = ValueError("no")
    group = BaseExceptionGroup("", [await leaked_cancelled(), error])
    rest = child_failure(group)
    assert isinstance(rest, ExceptionGroup)
    assert rest.exceptions == (error,)


@pytest.mark.parametrize("error", [BadSettings("x"), KeyboardInterrupt(), SystemExit(3)])
def test_fatal_part_is_found_in_groups(error: BaseException) -> None:
    group = BaseExceptionGroup("", [ValueError(), BaseExceptionGroup("", [KeyError(), error])])
    assert fatal_part(error) is error
    assert fatal_part(group) is error


@pytest.mark.parametrize(
    "error", [None, ValueError(), ActorError(), ExceptionGroup("", [OSError()])]
)
def test_ordinary_failures_have_no_fatal_part(error: Exception | None) -> None:
    assert fatal_part(error) is None


def test_format_error_shows_the_only_member_of_a_group() -> None:
    assert format_error(None) == "returned"
    assert (
        format_error(ExceptionGroup("g", [ExceptionGroup("h", [OSError("reset")])]))
        == "OSError: reset"
    )
    assert format_error(ExceptionGroup("g", [OSError(), KeyError()])).startswith(
        "ExceptionGroup: g"
    )


async def test_stray_cancelled_is_the_cause_of_the_failure() -> None:
    stray = await leaked_cancelled()
    assert child_failure(stray).__cause__ is stray
