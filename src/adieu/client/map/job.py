"""A job is one request of a sync map, which a worker runs: a thread of this process, or another process."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from adieu.client.map.outcome import discard
from adieu.errors import TransportError

if TYPE_CHECKING:
    from adieu.client.map.cancel import CancelHandle
    from adieu.client.map.outcome import Wanted
    from adieu.messages.response import Response

__all__ = ["Job", "JobResult", "OnDone", "Send", "run_job"]


class Job(NamedTuple):
    """One request, its place among those of the map, and what cancels it."""

    nth: int
    wanted: Wanted
    handle: CancelHandle


class JobResult:
    """The response or the error of a job, until it is taken out.

    It has to be taken out: an error's traceback refers to the frames that it passed, and a variable there that still
    led to the error would make a cycle.
    """

    __slots__ = ("_error", "_response")

    def __init__(self, response: Response | None, error: BaseException | None) -> None:
        self._response = response
        self._error = error

    @classmethod
    def failed(cls, error: BaseException) -> JobResult:
        """The result of a job that did not end by itself, without the frames of the worker."""
        return cls(None, error.with_traceback(None))

    @classmethod
    def refused(cls, what: str, cause: Exception) -> JobResult:
        """The result of a job that did not begin, because there was nothing to run it."""
        error = TransportError(f"{what} for this request: {cause}")
        error.__cause__ = cause.with_traceback(None)
        return cls(None, error)

    def take(self) -> tuple[Response | None, BaseException | None]:
        """The response and the error, one of which is None. Nothing is left here."""
        taken = self._response, self._error
        self._response = self._error = None
        return taken

    def discard(self) -> None:
        """Close the response, which will not be taken."""
        response, _ = self.take()
        discard(response)


OnDone = Callable[[int, JobResult], None]
"""Called with the place and the result of a job, in any thread."""

Send = Callable[["Wanted", "CancelHandle"], "Response"]


def run_job(
    send: Send, wanted: Wanted, handle: CancelHandle, read: bool, unique: bytes = b""
) -> JobResult:
    """Send the request. `read`: read the response here, where it was received.

    `unique` is not used: it makes the arguments of two jobs differ.
    """
    handle.runs_here = True
    try:
        handle.check()
        response = send(wanted, handle)
        if read:
            response.read()
    except Exception as error:
        return JobResult(None, error)
    finally:
        handle.call = None
    return JobResult(response, None)
