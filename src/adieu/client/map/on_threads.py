"""The threads of a map. They are started when they are needed, up to the map's limit, and end with the map."""

from __future__ import annotations

from collections import deque
from contextvars import Context, copy_context
from queue import SimpleQueue
from typing import TYPE_CHECKING

from adieu.client.map.job import JobResult, run_job
from adieu.lifecycle.threads import BackgroundThread

if TYPE_CHECKING:
    from adieu.client.map.job import Job, OnDone, Send

    Assignment = tuple[Send, Job, Context, OnDone]
    AssignmentQueue = SimpleQueue[Assignment | None]

__all__ = ["ThreadWorkers"]


class ThreadWorkers:
    """The threads of one map. A thread refers to the queue of its jobs, and to nothing else of the map."""

    __slots__ = ("_idle", "_queue", "_send", "_threads")

    def __init__(self, send: Send) -> None:
        self._send = send
        self._queue: AssignmentQueue = SimpleQueue()
        # One token for each thread that waits for a job and has none in the queue.
        self._idle: deque[None] = deque()
        self._threads: list[BackgroundThread] = []

    def submit(self, job: Job, on_done: OnDone) -> None:
        """Put the job into the queue, and start a thread for it if none is idle."""
        try:
            self._idle.pop()
        except IndexError:
            name = f"adieu-map-{len(self._threads) + 1}"
            thread = BackgroundThread(_work, self._queue, self._idle, name=name)
            try:
                thread.begin()
            except RuntimeError as error:
                if not self._threads:
                    on_done(job.nth, JobResult.refused("no thread could be started", error))
                    return
                # Those that there are take the job in their turn.
            else:
                self._threads.append(thread)
        self._queue.put((self._send, job, copy_context(), on_done))

    def stop(self) -> None:
        """End every thread after its present job."""
        self._queue.put(None)

    def join(self) -> None:
        """Wait for the end of every thread."""
        for thread in self._threads:
            thread.wait()


def _work(queue: AssignmentQueue, idle: deque[None]) -> None:
    """Run jobs until None comes out of the queue."""
    while True:
        assignment = queue.get()
        if assignment is None:
            queue.put(None)  # There is one None for all threads.
            return
        _run(*assignment)
        # The reader has the request and the response now: do not keep them alive here.
        del assignment
        idle.append(None)


def _run(send: Send, job: Job, context: Context, on_done: OnDone) -> None:
    try:
        result = context.run(run_job, send, job.wanted, job.handle, False)
    except BaseException as failure:
        result = JobResult.failed(failure)
    on_done(job.nth, result)
