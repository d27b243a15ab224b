"""Many requests over one pool: a bounded number at a time, the outcomes as they come. The sync twin of `async_map`.

Theory of operation. An `InFlight` holds the requests under way and the outcomes that nobody has taken yet. The workers
and the iterator share it. The workers never refer to the iterator, so an iterator that is dropped is freed, and its end
cuts them off. New requests are taken from the source, in the reader's thread, when an outcome is
asked for, as many as the limit leaves room for; so a reader who takes his time is waited for, and an endless source is
read no faster than its outcomes are.

Shared are a dict, a deque and a `SimpleQueue`, which are C: an interrupt at any line leaves them whole, and a finalizer
may come at any line. An outcome leaves the dict before the deque, so that none is given twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from queue import Empty, SimpleQueue
from threading import RLock
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from adieu.client.map.job import CancelHandle, Job
from adieu.client.map.outcome import Outcome, discard
from adieu.errors import ClientClosed, InvalidRequest
from adieu.lifecycle.lock import release_if_owned

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

    from adieu.client.map.job import Carried
    from adieu.client.map.outcome import Wanted
    from adieu.messages.response import Response

    Told = Callable[[int, Carried], None]

__all__ = ["InFlight", "Map", "Workers"]

# Where a wait cannot be interrupted (Windows), a Ctrl-C is heard after so many seconds.
_PIECE = 0.5
# So long (seconds) new requests may be waited for while an outcome is there.
_SLOW = 0.05
# What a source gives when it has nothing more.
_END = object()


class Workers(Protocol):
    """Who carries the requests: threads of the map's own, or an executor."""

    def submit(self, job: Job, told: Told) -> None:
        """Have it carried; `told` is called with its place and what became of it, in whatever thread."""
        ...

    def dismiss(self) -> None:
        """What has not begun shall not begin. Any number of times, also in a finalizer."""
        ...

    def join(self) -> None:
        """Wait until nobody is left of it, of whom the map is the only employer."""
        ...


class InFlight:
    """What is under way, and what has finished."""

    __slots__ = ("_crew", "_finished", "_left", "_running", "_signals")

    def __init__(self, crew: Workers) -> None:
        self._crew = crew
        # Until it is taken.
        self._running: dict[int, Job] = {}
        self._finished: deque[tuple[int, Carried]] = deque()
        self._signals: SimpleQueue[None] = SimpleQueue()
        self._left = False

    @property
    def load(self) -> int:
        """How many are under way or wait to be taken."""
        return len(self._running)

    @property
    def over(self) -> bool:
        """Nothing is to come any more."""
        return self._left or not self._running

    @property
    def ripe(self) -> bool:
        """Something waits to be taken."""
        return bool(self._finished)

    def start(self, nth: int, wanted: Wanted) -> None:
        job = Job(nth, wanted, CancelHandle())
        self._running[nth] = job
        try:
            self._crew.submit(job, self._told)
        except BaseException:
            job.ending.cut_off()
            self._running.pop(nth, None)
            raise

    def _told(self, nth: int, carried: Carried) -> None:
        self._finished.append((nth, carried))
        if self._left:
            self._discard()
        self._signals.put(None)

    def take(self) -> Outcome[Response] | None:
        """One that has finished, the oldest first. What is no `Exception` (an exit) is raised."""
        finished = self._finished
        while finished:
            nth, carried = finished[0]
            job = self._running.pop(nth, None)
            finished.popleft()
            self._hear()
            if job is None:
                continue  # An interrupt came between the two lines: it was taken, and lost.
            error, response = carried.pop(), carried.pop()
            try:
                if error is not None and not isinstance(error, Exception):
                    raise error
                return Outcome(nth, job.wanted, response, error)
            finally:
                del error  # Or its traceback would refer to it: a cycle.
        return None

    def _hear(self) -> None:
        """One signal less for one outcome less, or they would pile up before a reader who never waits."""
        try:
            self._signals.get_nowait()
        except Empty:
            pass

    def more(self) -> None:
        """Wait until something has finished, for a moment at most."""
        try:
            self._signals.get(timeout=_PIECE)
        except Empty:
            pass

    def cancel(self) -> None:
        """Cut off what is under way, drop what was not taken. Waits for nothing, and may run in a finalizer."""
        self._left = True
        self._crew.dismiss()
        for job in list(self._running.values()):
            job.ending.cut_off()
        self._discard()

    def _discard(self) -> None:
        """Close what nobody will take."""
        while True:
            try:
                nth, carried = self._finished.popleft()
            except IndexError:
                return
            discard(carried[0])
            carried.clear()
            self._running.pop(nth, None)

    def ended(self) -> None:
        """Wait until what was cancelled is over, as far as it is carried in this process."""
        while any(job.ending.here for job in list(self._running.values())):
            self.more()
        self._crew.join()


class Map:
    """The outcomes of `Client.map`, as they come: an iterator, and a context manager."""

    __slots__ = ("_count", "_ended", "_flow", "_limit", "_second", "_source", "_turn")

    def __init__(self, requests: Iterable[Wanted], limit: int, crew: Workers) -> None:
        if type(limit) is not int or limit < 1:
            raise InvalidRequest(f"map: limit takes a whole number from 1, not {limit!r}")
        if isinstance(requests, (str, bytes)) or not isinstance(requests, Iterable):
            raise InvalidRequest(f"map takes an iterable of requests or URLs, not {requests!r:.80}")
        self._limit = limit
        self._count = 0
        self._ended = False
        self._source: Iterator[Wanted] = iter(requests)
        self._turn = RLock()
        self._flow = flow = InFlight(crew)
        self._second = _Finalizer(flow)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Outcome[Response]:
        turn = self._turn
        if not turn.acquire(blocking=False):
            raise RuntimeError("another thread is waiting for the next outcome of this map")
        try:
            return self._next(self._flow)
        finally:
            release_if_owned(turn)

    def _next(self, flow: InFlight) -> Outcome[Response]:
        while True:
            self._start(flow)
            outcome = flow.take()
            if outcome is not None:
                if not isinstance(outcome.error, ClientClosed):
                    return outcome
                error = outcome.error
                del outcome
                self.close()
                try:
                    raise error  # And so would every other end.
                finally:
                    del error  # Or its traceback would refer to it: a cycle.
            if flow.over:
                self.close()
                raise StopIteration
            flow.more()

    def _start(self, flow: InFlight) -> None:
        """Start as many as there is room for. A slow source does not keep an outcome waiting for all of them."""
        began = monotonic()
        while not self._ended and flow.load < self._limit:
            try:
                wanted: Any = next(self._source, _END)
                if wanted is _END:
                    self._ended = True
                    return
                nth, self._count = self._count, self._count + 1
                flow.start(nth, wanted)
            except Exception:
                self.close()
                raise
            if flow.ripe and monotonic() - began > _SLOW:
                return

    def close(self) -> None:
        """Cut off what is under way, and see it ended. Any number of calls; nothing comes after it."""
        self._ended = True
        self._flow.cancel()
        self._flow.ended()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        flow: Any = getattr(self, "_flow", None)
        if flow is not None:
            flow.cancel()


class _Finalizer:
    """The second one of a map: an interrupt that falls into a finalizer is printed and forgotten, but not into both."""

    __slots__ = ("_flow",)

    def __init__(self, flow: InFlight) -> None:
        self._flow = flow

    def __del__(self) -> None:
        flow: Any = getattr(self, "_flow", None)
        if flow is not None:
            flow.cancel()
