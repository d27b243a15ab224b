"""Look-ups in threads, because the system's resolver blocks and cannot be interrupted.

Theory of operation. A job is a question, and the calls that wait for its answer. Jobs wait in one line; a bounded
number of threads takes them, and a thread ends when the line is empty. Calls with the same question share a job, so
that a name whose servers do not answer keeps one thread busy and not one for each call. A job that has lasted for some
seconds is not joined any more: a resolver that hangs for good must not keep a name from being looked up again.

Invariants: a call waits for its answer, never for a thread, so its own limit ends the wait. Answers are given while no
lock is held, and no two calls get the same exception. The threads are daemons: one that hangs keeps no interpreter from
ending. A call that starts a thread may be interrupted anywhere: threads say themselves that they are over.
"""

from __future__ import annotations

from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, TypeAlias

from adieu.errors import ClientClosed, DNSError
from adieu.lifecycle.fork import call_after_fork
from adieu.lifecycle.lock import locked, new_lock
from adieu.lifecycle.threads import BackgroundThread
from adieu.net.lookup import lookup

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu.errors import RequestTimeout
    from adieu.net.address import Address
    from adieu.net.lookup import LookUp
    from adieu.net.scope import ConnectScope

    Found: TypeAlias = list[Address] | Exception
    """The result of a look-up."""
    _Question: TypeAlias = tuple[LookUp, str, int]
    _Answer: TypeAlias = Callable[[Found], object]

__all__ = ["LOOKUPS", "Asked", "LookupThreads", "found", "lookup_within"]

_LIMIT = 32
# For how long calls with the same question join a job that has begun (seconds).
_JOINED_FOR = 5.0
# How many names the error of a call shows that has waited for a thread in vain.
_NAMES = 3


class _Job:
    """A question, and the calls that wait for its answer. `begun_at`: None while it waits for a thread."""

    __slots__ = ("answers", "begun_at", "question")

    def __init__(self, question: _Question) -> None:
        self.question = question
        self.answers: list[_Answer] = []
        self.begun_at: float | None = None

    def look(self) -> Found:
        look_up, host, port = self.question
        try:
            return look_up(host, port)
        except Exception as error:
            # Without frames: they would keep the objects of a call alive.
            return error.with_traceback(None)
        except BaseException as error:
            return DNSError(f"the look-up of the host name {host!r} was ended by {error!r}")


class _Worker:
    """What is known of a thread."""

    __slots__ = ("busy", "over")

    def __init__(self) -> None:
        self.busy = False
        self.over = False


class Asked:
    """A call's part in a job."""

    __slots__ = ("_answer", "_job", "_threads")

    def __init__(self, threads: LookupThreads, job: _Job, answer: _Answer) -> None:
        self._threads = threads
        self._job = job
        self._answer = answer

    def forget(self) -> None:
        """The answer is not wanted any more. A job that no call waits for is not begun."""
        self._threads.leave(self._job, self._answer)

    def late(self, error: RequestTimeout) -> RequestTimeout:
        """The error, with what the time was spent on."""
        error.args = (f"{error.args[0]}, while {self._threads.describe(self._job)}",)
        return error


class LookupThreads:
    """At most `limit` threads that look names up: made when they are needed, ended when there is nothing to do."""

    def __init__(self, limit: int = _LIMIT) -> None:
        self.limit = limit
        self._lock = new_lock()
        self._reset()
        call_after_fork(self, LookupThreads._reset)  # A forked child has none of these threads.

    def _reset(self) -> None:
        self._line: deque[_Job] = deque()
        # The job of each question that the next call with this question may join.
        self._jobs: dict[_Question, _Job] = {}
        self._running: list[_Job] = []
        self._workers: list[_Worker] = []

    def ask(self, host: str, port: int, answer: _Answer, look_up: LookUp = lookup) -> Asked:
        """Have a name looked up: the addresses, or the exception, are passed to `answer` in another thread.

        Raises `DNSError` if there is no thread, and none can be started.
        """
        return Asked(self, locked(self._lock, self._join, (look_up, host, port), answer), answer)

    def _join(self, question: _Question, answer: _Answer) -> _Job:
        job = self._jobs.get(question)
        if job is None or (job.begun_at is not None and monotonic() - job.begun_at > _JOINED_FOR):
            self._jobs[question] = job = _Job(question)
            self._line.append(job)
        job.answers.append(answer)
        self._workers = [worker for worker in self._workers if not worker.over]
        unoccupied = sum(not worker.busy for worker in self._workers)
        if len(self._line) > unoccupied and len(self._workers) < self.limit:
            self._grow(job)
        return job

    def _grow(self, job: _Job) -> None:
        worker = _Worker()
        try:
            BackgroundThread(self._work, worker, name="adieu-dns").begin()
        except RuntimeError as error:
            if self._workers:
                return  # One of them takes the job when it is free.
            job.answers.pop()
            host = job.question[1]
            raise DNSError(f"the host name {host!r} could not be looked up: {error}") from error
        self._workers.append(worker)

    def leave(self, job: _Job, answer: _Answer) -> None:
        """Take a call out of a job."""
        locked(self._lock, self._leave, job, answer)

    def _leave(self, job: _Job, answer: _Answer) -> None:
        if answer in job.answers:
            job.answers.remove(answer)

    def describe(self, job: _Job) -> str:
        """What happens with a job, for the error of a call that has waited for it too long."""
        host = job.question[1]
        running = [other.question[1] for other in list(self._running)]
        if job.begun_at is not None or not running:
            return f"the host name {host!r} was looked up"
        more = f" and {len(running) - _NAMES} more" if len(running) > _NAMES else ""
        return (
            f"the host name {host!r} waited to be looked up: the {self.limit} look-ups that may run at once take long, "
            f"those of {', '.join(map(repr, running[:_NAMES]))}{more}"
        )

    # -- in the threads ----------------------------------------------------------------------------------------------

    def _work(self, worker: _Worker) -> None:
        try:
            while (job := locked(self._lock, self._next, worker)) is not None:
                found = job.look()
                answers = locked(self._lock, self._done, job)
                del job
                while answers:
                    # Each call gets a result of its own; the last one gets the original.
                    answers.pop()(_copied(found) if answers else found)
                del found, answers
        finally:
            worker.over = True

    def _next(self, worker: _Worker) -> _Job | None:
        while self._line:
            job = self._line.popleft()
            if job.answers:
                worker.busy = True
                job.begun_at = monotonic()
                self._running.append(job)
                return job
            self._end(job)
        worker.over = True
        return None

    def _done(self, job: _Job) -> list[_Answer]:
        self._running.remove(job)
        self._end(job)
        answers, job.answers = job.answers, []
        return answers

    def _end(self, job: _Job) -> None:
        if self._jobs.get(job.question) is job:
            del self._jobs[job.question]


LOOKUPS = LookupThreads()
"""The threads of this process."""


class _Cancel:
    """Ends the wait for an answer when the scope that owns this is closed."""

    __slots__ = ("_answer",)

    def __init__(self, answer: _Answer) -> None:
        self._answer = answer

    def close(self) -> None:
        self._answer(ClientClosed("the client was closed while a name was being looked up"))


def lookup_within(
    host: str, port: int, seconds: float, scope: ConnectScope, look_up: LookUp = lookup
) -> list[Address]:
    """Look up in a thread, and wait for these seconds at most. Closing the scope ends the wait, too."""
    import queue

    answers: queue.SimpleQueue[Found] = queue.SimpleQueue()
    scope.own(_Cancel(answers.put))
    asked = LOOKUPS.ask(host, port, answers.put, look_up)
    try:
        return found(answers.get(timeout=seconds))
    except queue.Empty:
        pass
    finally:
        asked.forget()
    raise asked.late(scope.exceeded())  # Without the frames of `Empty`, as its context.


def found(answer: Found) -> list[Address]:
    """The addresses in an answer; if it is an exception, that is raised."""
    if isinstance(answer, Exception):
        try:
            raise answer
        finally:
            del answer  # Or the exception's traceback would refer to the exception: a cycle.
    return answer


def _copied(found: Found) -> Found:
    from copy import copy

    return copy(found)
