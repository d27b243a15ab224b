"""Closing files, generators and async generators without waiting: in a finalizer, and after a cancellation."""

from __future__ import annotations

from types import AsyncGeneratorType, GeneratorType
from typing import Any

__all__ = ["close_now", "is_running"]

# How often the end of one async generator may await before it is given up.
_MOST_AWAITS = 100


def close_now(source: object) -> None:
    """Close a file, a generator or an async generator. What has no end to call is left as it is.

    Where an async generator awaits on its way out, that await raises GeneratorExit. A generator that runs, in another
    thread or task, cannot be closed, and is left: the end of what it waits for is its end.
    """
    if is_running(source):
        return
    aclose = getattr(source, "aclose", None)
    if callable(aclose):
        _run_without_waiting(aclose())
        return
    close = getattr(source, "close", None)
    if callable(close):
        try:
            close()
        except ValueError:
            if not is_running(source):  # It may have begun to run in another thread just now.
                raise


def _run_without_waiting(closing: Any) -> None:
    try:
        closing.send(None)
        for _ in range(_MOST_AWAITS):
            # Not `closing.close()`, which does not reach the generator before Python 3.13: it would stay suspended, and
            # count as running.
            closing.throw(GeneratorExit())
    except (StopIteration, StopAsyncIteration, GeneratorExit):
        pass


def is_running(source: object) -> bool:
    """Whether this is a generator that runs, or an async generator that runs or that a task awaits."""
    if isinstance(source, GeneratorType):
        return source.gi_running
    return isinstance(source, AsyncGeneratorType) and source.ag_running
