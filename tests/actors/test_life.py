import pytest
import trio

from actors import ActorError, Fatal, StrayCancelled
from actors.life import describe, failure, passes_up

from .fakes import a_cancelled


class BadSettings(Fatal):
    pass


async def test_cancelled_that_nobody_asked_for_is_a_failure() -> None:
    stray = await a_cancelled()
    assert isinstance(failure(stray), StrayCancelled)
    assert isinstance(failure(BaseExceptionGroup("", [stray, stray])), StrayCancelled)


async def test_cancelled_of_the_whole_run_goes_on() -> None:
    stray = await a_cancelled()
    with trio.CancelScope() as scope:  # noqa: ASYNC100
        scope.cancel()
        with pytest.raises(trio.Cancelled):
            failure(stray)


async def test_error_beside_a_cancelled_is_the_failure() -> None:
    error = ValueError("no")
    group = BaseExceptionGroup("", [await a_cancelled(), error])
    rest = failure(group)
    assert isinstance(rest, ExceptionGroup)
    assert rest.exceptions == (error,)


@pytest.mark.parametrize("error", [BadSettings("x"), KeyboardInterrupt(), SystemExit(3)])
def test_what_passes_up_is_found_in_groups(error: BaseException) -> None:
    group = BaseExceptionGroup("", [ValueError(), BaseExceptionGroup("", [KeyError(), error])])
    assert passes_up(error) is error
    assert passes_up(group) is error


@pytest.mark.parametrize(
    "error", [None, ValueError(), ActorError(), ExceptionGroup("", [OSError()])]
)
def test_ordinary_failures_do_not_pass_up(error: Exception | None) -> None:
    assert passes_up(error) is None


def test_description_names_the_only_member_of_a_group() -> None:
    assert describe(None) == "returned"
    assert (
        describe(ExceptionGroup("g", [ExceptionGroup("h", [OSError("reset")])])) == "OSError: reset"
    )
    assert describe(ExceptionGroup("g", [OSError(), KeyError()])).startswith("ExceptionGroup: g")


async def test_cancelled_that_nobody_asked_for_is_shown_as_the_cause() -> None:
    stray = await a_cancelled()
    assert failure(stray).__cause__ is stray
