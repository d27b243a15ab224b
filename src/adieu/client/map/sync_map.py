"""The sync map: an iterator over the outcomes of many requests, a bounded number of which are under way.

Theory of operation. An `InFlight` holds the jobs under way and the results that were not taken yet. The workers and the
iterator share it. The workers never refer to the iterator, so an iterator that is dropped is freed, and its finalizer
cancels the jobs. Requests are taken from the source when an outcome is asked for, in the reader's thread, up to the
limit. So a slow reader is waited for, and an endless source is read no faster than its outcomes are.

The threads share a dict, a deque and a `SimpleQueue`. All three are C: an interrupt at any line leaves them whole, and
a finalizer may run at any line. A job leaves the dict before its result leaves the deque, so no result is given twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from enum import Enum
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from adieu.client.map.added import Added
from adieu.client.map.arguments import NoRequest, checked_limit, refused_source
from adieu.client.map.cancel import CancelHandle
from adieu.client.map.job import Job
from adieu.client.map.outcome import Outcome
from adieu.errors import BodyBusy, ClientClosed
from adieu.lifecycle.at_exit import quiet_at_exit
from adieu.lifecycle.fork import call_after_fork
from adieu.lifecycle.lock import new_lock, release_if_owned

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from adieu.client.map.job import JobResult, OnDone
    from adieu.client.map.outcome import Wanted
    from adieu.messages.response import Response

__all__ = ["InFlight", "Map", "Workers"]

# The longest wait without a break (seconds): on Windows, Ctrl-C does not interrupt the wait for a queue.
_INTERRUPT_CHECK_INTERVAL = 0.5
# How long (seconds) new requests may be taken from the source while a result is ready.
_MAX_START_TIME = 0.05


class Workers(Protocol):
    """The runner of the jobs of a map: threads of its own, or an executor."""

    def submit(self, job: Job, on_done: OnDone) -> None:
        """Have the job run. `on_done` is called with its place and its result, in any thread."""
        ...

    def stop(self) -> None:
        """Begin no further job. Idempotent, also in a finalizer."""
        ...

    def join(self) -> None:
        """Wait until the workers that belong to this map alone have ended."""
        ...


class _State(Enum):
    OPEN = "open"
    CANCELLED = "cancelled"
    INHERITED = "inherited"  # by a forked child, in which no worker runs


class InFlight:
    """The jobs under way and the results that were not taken yet."""

    __slots__ = ("__weakref__", "_finished", "_jobs", "_signals", "_state", "_workers")

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        # Until the result is taken.
        self._jobs: dict[int, Job] = {}
        self._finished: deque[tuple[int, JobResult]] = deque()
        # One for each result.
        self._signals: SimpleQueue[None] = SimpleQueue()
        self._state = _State.OPEN
        call_after_fork(self, InFlight._after_fork)

    @property
    def count(self) -> int:
        """How many jobs are under way, or have a result that was not taken."""
        return len(self._jobs)

    @property
    def is_done(self) -> bool:
        """There will be no further result."""
        return self._state is not _State.OPEN or not self._jobs

    @property
    def has_result(self) -> bool:
        """A result is ready to be taken."""
        return bool(self._finished)

    def start(self, nth: int, wanted: Wanted) -> None:
        """Have a request sent."""
        job = Job(nth, wanted, CancelHandle())
        self._jobs[nth] = job
        try:
            self._workers.submit(job, self._on_done)
        except BaseException:
            job.handle.cancel()
            self._jobs.pop(nth, None)
            raise

    def _on_done(self, nth: int, result: JobResult) -> None:
        self._finished.append((nth, result))
        if self._state is _State.CANCELLED:
            self._discard()
        self._signals.put(None)

    def take(self) -> Outcome[Response] | None:
        """The oldest result. An error that is no `Exception` (an exit) is raised."""
        finished = self._finished
        while finished:
            nth, result = finished[0]
            job = self._jobs.pop(nth, None)
            finished.popleft()
            self._drop_signal()
            if job is None:
                continue  # An interrupt fell between the two lines: the result was taken, and lost.
            response, error = result.take()
            try:
                if error is not None and not isinstance(error, Exception):
                    raise error
                return Outcome(nth, job.wanted, response, error)
            finally:
                del error  # Or its traceback would refer to it: a cycle.
        return None

    def _drop_signal(self) -> None:
        """Drop one signal for each result taken: a reader that never waits would let them pile up."""
        try:
            self._signals.get_nowait()
        except Empty:
            pass

    def wait(self) -> None:
        """Wait for the next result, for a moment at most."""
        try:
            self._signals.get(timeout=_INTERRUPT_CHECK_INTERVAL)
        except Empty:
            pass

    def cancel(self) -> None:
        """Cancel the jobs, discard the results. Waits for nothing, and may run in a finalizer."""
        if self._state is _State.INHERITED:
            return
        self._state = _State.CANCELLED
        self._workers.stop()
        for job in list(self._jobs.values()):
            job.handle.cancel()
        self._discard()

    def _discard(self) -> None:
        while True:
            try:
                nth, result = self._finished.popleft()
            except IndexError:
                return
            result.discard()
            self._jobs.pop(nth, None)

    def join(self) -> None:
        """Wait for the end of the cancelled jobs, as far as they run in this process."""
        if self._state is _State.INHERITED:
            return
        while any(job.handle.runs_here for job in list(self._jobs.values())):
            self.wait()
        self._workers.join()

    def _after_fork(self) -> None:
        """In a forked child, the workers and the results are the parent's."""
        self._state = _State.INHERITED
        self._jobs.clear()
        self._finished.clear()

    def refuse_inherited(self) -> None:
        """Raise `ClientClosed` in a forked child."""
        if self._state is _State.INHERITED:
            raise ClientClosed(
                "this map was begun before the process was forked: its requests are the parent's"
            )


class Map:
    """The outcomes of `Client.map`, as they come: an iterator, and a context manager."""

    __slots__ = (
        "_added",
        "_backup_finalizer",
        "_exhausted",
        "_in_flight",
        "_limit",
        "_next_nth",
        "_reader_lock",
        "_source",
    )

    def __init__(self, requests: Iterable[Wanted], limit: int, workers: Workers) -> None:
        self._in_flight = in_flight = InFlight(workers)
        self._limit = checked_limit(limit)
        if isinstance(requests, (str, bytes)) or not isinstance(requests, Iterable):
            raise refused_source(requests)
        self._source: Iterator[Wanted] = iter(requests)
        # Nothing more is taken from the source: it has ended, or the map has.
        self._exhausted = False
        self._added = Added()
        self._next_nth = 0
        # Held by the thread that asks for the next outcome.
        self._reader_lock = new_lock()
        self._backup_finalizer = _BackupFinalizer(in_flight)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Outcome[Response]:
        lock = self._reader_lock
        try:
            if not lock.acquire(blocking=False):
                raise BodyBusy("another thread is waiting for the next outcome of this map")
            return self._next(self._in_flight)
        finally:
            release_if_owned(lock)

    def _next(self, in_flight: InFlight) -> Outcome[Response]:
        in_flight.refuse_inherited()
        while True:
            self._start(in_flight)
            outcome = in_flight.take()
            if outcome is not None:
                if not isinstance(outcome.error, ClientClosed):
                    return outcome
                error = outcome.error
                del outcome
                self.close()
                try:
                    raise error  # Every further outcome would be the same error.
                finally:
                    del error  # Or its traceback would refer to it: a cycle.
            if in_flight.is_done:
                self.close()
                raise StopIteration
            in_flight.wait()

    def _start(self, in_flight: InFlight) -> None:
        """Start jobs up to the limit. A slow source does not delay a result that is ready."""
        began = monotonic()
        while in_flight.count < self._limit:
            try:
                wanted = self._next_request()
                if isinstance(wanted, NoRequest):
                    return
                nth, self._next_nth = self._next_nth, self._next_nth + 1
                in_flight.start(nth, wanted)
            except Exception:
                self.close()
                raise
            if in_flight.has_result and monotonic() - began > _MAX_START_TIME:
                return

    def _next_request(self) -> Wanted | NoRequest:
        wanted = self._added.take()
        if isinstance(wanted, NoRequest) and not self._exhausted:
            wanted = next(self._source, NoRequest.EXHAUSTED)
            self._exhausted = isinstance(wanted, NoRequest)
        return wanted

    def add(self, request: Wanted) -> None:
        """Send one more request, a URL or a `Request`, before what is left of the source.

        Call it in the loop over the outcomes. The map ends when the source is at its end, nothing is under way, and
        nothing was added. Raises `ClientClosed` after that.
        """
        self._added.add(request)

    def close(self) -> None:
        """Cancel the requests under way, and wait until they have ended. Idempotent; it ends the iterator."""
        try:
            self._exhausted = True
            self._added.end()
            self._in_flight.cancel()
            self._in_flight.join()
        except BaseException:
            self._in_flight.cancel()  # The interrupt may have come before the last of them was cancelled.
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except BaseException:
            self._in_flight.cancel()
            raise

    @quiet_at_exit
    def __del__(self) -> None:
        try:
            in_flight = self._in_flight
        except AttributeError:
            return  # An interrupt fell before the first line of `__init__`.
        in_flight.cancel()


class _BackupFinalizer:
    """A map's second finalizer. An interrupt that falls into a finalizer is lost there, but it does not hit both."""

    __slots__ = ("_in_flight",)

    def __init__(self, in_flight: InFlight) -> None:
        self._in_flight = in_flight

    @quiet_at_exit
    def __del__(self) -> None:
        try:
            in_flight = self._in_flight
        except AttributeError:
            return  # As above.
        in_flight.cancel()
