"""Bounded retries, on connection faults only: what was sent once is never sent again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from signoff.errors import Unreachable

_Result = TypeVar("_Result")

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 1.0


@dataclass(frozen=True)
class Attempts(Generic[_Result]):
    """What came of trying.

    Attributes:
        result: of the attempt that succeeded.
        faults: what the attempts before it met, in order.
    """

    result: _Result
    faults: tuple[str, ...] = ()

    def __str__(self) -> str:
        """A line for the evidence; empty if the first attempt succeeded."""
        if not self.faults:
            return ""
        number = len(self.faults)
        return f"(after {number} failed attempt{'' if number == 1 else 's'} to connect: {self.faults[-1]})"


def persistently(connect: Callable[[], _Result], *, within: float) -> Attempts[_Result]:
    """Try to connect until it succeeds or the time is over.

    Args:
        connect: makes a connection, sends nothing that changes anything, and raises `Unreachable` where
            none can be made. Every other error ends the attempts at once.
        within: seconds after which no further attempt begins; 0 for a single attempt.

    Raises:
        Unreachable: the last attempt's, when the time is over.
    """
    # Imported here: it takes 50 ms, which runs without such components do not need.
    from tenacity import (  # noqa: PLC0415 - see above
        Retrying,
        retry_if_exception_type,
        stop_before_delay,
        wait_exponential,
    )

    faults: list[str] = []

    def once() -> _Result:
        try:
            return connect()
        except Unreachable as error:
            faults.append(error.got)
            raise

    retrying = Retrying(
        retry=retry_if_exception_type(Unreachable),
        stop=stop_before_delay(within),
        wait=wait_exponential(multiplier=_FIRST_PAUSE, max=_LONGEST_PAUSE),
        reraise=True,
    )
    result = retrying(once)
    return Attempts(result, tuple(faults))
