"""The threads of a map. They are started when they are needed, up to the map's limit, and end with the map."""

from __future__ import annotations

import threading
from collections import deque
from contextvars import Context, copy_context
from queue import SimpleQueue
from time import sleep
from typing import TYPE_CHECKING

from adieu.client.map.job import JobResult, run_job
from adieu.lifecycle.lock import start_in_helper

if TYPE_CHECKING:
    from adieu.client.map.job import Job, OnDone, Send

    Assignment = tuple[Send, Job, Context, OnDone]
    AssignmentQueue = SimpleQueue[Assignment | None]

__all__ = ["ThreadWorkers"]

# How often `wait` checks whether a thread has started (seconds).
_START_CHECK_INTERVAL = 0.001


class ThreadWorkers:
    """The threads of one map. A thread refers to the queue of its jobs, and to nothing else of the map."""

    __slots__ = ("_idle", "_queue", "_send", "_threads")

    def __init__(self, send: Send) -> None:
        self._send = send
        self._queue: AssignmentQueue = SimpleQueue()
        # One token for each thread that waits for a job and has none in the queue.
        self._idle: deque[None] = deque()
        self._threads: list[_Thread] = []

    def submit(self, job: Job, on_done: OnDone) -> None:
        """Put the job into the queue, and start a thread for it if none is idle."""
        try:
            self._idle.pop()
        except IndexError:
            thread = _Thread(self._queue, self._idle, f"adieu-map-{len(self._threads) + 1}")
            start_in_helper(thread, thread.starting.pop)
            self._threads.append(thread)
        self._queue.put((self._send, job, copy_context(), on_done))

    def stop(self) -> None:
        """End every thread after its present job."""
        self._queue.put(None)

    def join(self) -> None:
        """Wait for the end of every thread."""
        for thread in self._threads:
            thread.wait()


class _Thread(threading.Thread):
    """Runs jobs until None comes out of the queue."""

    def __init__(self, queue: AssignmentQueue, idle: deque[None], name: str) -> None:
        # A daemon: a thread that waits for a peer must not keep the interpreter from ending.
        super().__init__(name=name, daemon=True)
        self._queue = queue
        self._idle = idle
        # Emptied when the thread has started. A list, because its `pop` is C, which no interrupt divides.
        self.starting: list[None] = [None]

    def run(self) -> None:
        queue = self._queue
        while True:
            assignment = queue.get()
            if assignment is None:
                queue.put(None)  # There is one None for all threads.
                return
            _run(*assignment)
            # The reader has the request and the response now: do not keep them alive here.
            del assignment
            self._idle.append(None)

    def wait(self) -> None:
        """Wait for the thread's end."""
        while self.starting:
            sleep(_START_CHECK_INTERVAL)
        if self.ident is not None:
            self.join()


def _run(send: Send, job: Job, context: Context, on_done: OnDone) -> None:
    try:
        result = context.run(run_job, send, job.wanted, job.handle, False)
    except BaseException as failure:
        result = JobResult.failed(failure)
    on_done(job.nth, result)
