"""One algorithm, two drivers: how sync and async run the same steps.

Steps are a generator that calls a stream, a lease or a queue and yields the value of the call. A sync call has done its
work by then, so its driver hands the result straight back. An async call returned an awaitable, so its driver awaits it
first. Nothing else differs, so nothing else is written twice.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

__all__ = ["Steps", "adrive", "drive"]

T = TypeVar("T")
Steps = Generator[Any, Any, T]


def drive(steps: Steps[T]) -> T:
    """Run steps whose operations have already happened when they are yielded."""
    send = steps.send
    done = None
    try:
        while True:
            done = send(done)
    except StopIteration as end:
        result: T = end.value
        return result
    except BaseException:
        # The steps have not seen an interrupt that fell between two of them, and they own things that must end now.
        steps.close()
        raise


async def adrive(steps: Steps[T]) -> T:
    """Run steps whose operations are awaitables. A cancelled await is thrown into the steps like any error."""
    try:
        wish = steps.send(None)
        while True:
            try:
                done = await wish
            except BaseException as error:
                wish = steps.throw(error)
            else:
                wish = steps.send(done)
    except StopIteration as end:
        result: T = end.value
        return result
    except BaseException:
        steps.close()  # See `drive`.
        raise
