"""One request of a sync map, carried in a thread or a process that is not its reader's, and ended from outside.

Theory of operation. A thread that waits for a peer cannot be cancelled; but every wait of a call first asks the call's
deadline how long it may last, and every wait in progress ends when the exchange's lease does. So whoever leaves a map
does both: the deadlines refuse from then on, and the exchanges are ended. There is no gap between the two, because an
exchange owns its lease before the first wait.

A job may be pickled. What arrives in another process does not belong to a map that could be left, and is carried
by a client of that process: see `adieu.client.map.worker_clients`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from adieu.client.call import Call
from adieu.errors import ClientClosed
from adieu.lifecycle.deadline import Deadline
from adieu.lifecycle.steps import drive
from adieu.messages.request import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adieu.client.client import Client
    from adieu.client.map.outcome import Wanted
    from adieu.lifecycle.cleanup import CleanupPolicy
    from adieu.lifecycle.deadline import Timeout, Wait
    from adieu.lifecycle.exchange import Exchange
    from adieu.lifecycle.steps import Steps
    from adieu.messages.response import Response

__all__ = ["CancelHandle", "Carried", "Job", "Sender", "Settings", "carry"]

# For so long (seconds) who waits to try again does not look whether the map was left.
_PIECE = 0.05


class CancelHandle:
    """How a job is ended from another thread. `here`: it is carried in this process, and waited for."""

    __slots__ = ("call", "here", "over")

    def __init__(self) -> None:
        self.call: _Call | None = None
        self.here = False
        self.over = False

    def cut_off(self) -> None:
        """End it, wherever it is: whatever it waits for, it does not wait any more. Any number of times."""
        self.over = True
        call = self.call
        exchange = call.exchange if call is not None else None
        if exchange is not None:
            exchange.end(False, "map left")

    def check(self) -> None:
        """Raise if it is over."""
        if self.over:
            raise ClientClosed("the map that this request belongs to has been left")

    def __reduce__(self) -> tuple[Any, ...]:
        return CancelHandle, ()


class _Deadline(Deadline):
    """A clock that stops when the map is left."""

    __slots__ = ("_ending",)

    def __init__(self, timeout: Timeout, ending: CancelHandle) -> None:
        super().__init__(timeout)
        self._ending = ending

    def remaining(self, wait: Wait) -> float | None:
        self._ending.check()
        return super().remaining(wait)


class _Call(Call):
    """A call with an ending."""

    __slots__ = ("_ending",)

    def __init__(
        self, ending: CancelHandle, client: Any, deadline: Deadline, *settings: Any
    ) -> None:
        super().__init__(client, _Deadline(deadline.timeout, ending), *settings)
        self._ending = ending
        ending.call = self

    @property
    def exchange(self) -> Exchange | None:
        return self._exchange

    def _waiting(self, seconds: float) -> Steps[None]:
        while seconds > 0:
            self._ending.check()
            piece = min(seconds, _PIECE)
            yield from super()._waiting(piece)
            seconds -= piece


class Settings(NamedTuple):
    """What a map was told about every one of its requests."""

    timeout: Timeout | float | object | None
    cleanup: CleanupPolicy | None
    follow_redirects: bool | None
    extras: Mapping[str, object] | None


class Sender:
    """Sends what a map is given. Pickled, it becomes the sender of a client of equal settings."""

    __slots__ = ("_client", "_packed", "_settings")

    def __init__(self, client: Client, settings: Settings) -> None:
        self._client = client
        self._settings = settings
        self._packed: tuple[Any, ...] | None = None

    def __call__(self, wanted: Wanted, ending: CancelHandle) -> Response:
        client = self._client
        request = wanted if isinstance(wanted, Request) else client.build_request("GET", wanted)
        response: Response = drive(
            client._sending(request, False, *self._settings, call=partial(_Call, ending))
        )
        return response

    def __reduce__(self) -> tuple[Any, ...]:
        packed = self._packed
        if packed is None:
            from adieu.client.map.worker_clients import packed as pack

            # Once for all requests of the map; threads that come here together do the same twice.
            self._packed = packed = pack(self._client)
        return _SenderElsewhere, (*packed, self._settings)


class _SenderElsewhere:
    """Sends with the client that this process keeps for it. Nothing is made when it is unpickled: others look, too."""

    __slots__ = ("_key", "_packed", "_settings")

    def __init__(self, key: bytes, packed: bytes, settings: Settings) -> None:
        self._key = key
        self._packed = packed
        self._settings = settings

    def __call__(self, wanted: Wanted, ending: CancelHandle) -> Response:
        from adieu.client.map.worker_clients import Borrowed

        with Borrowed(self._key, self._packed) as client:
            return Sender(client, self._settings)(wanted, ending)

    def __reduce__(self) -> tuple[Any, ...]:
        return _SenderElsewhere, (self._key, self._packed, self._settings)


class Job(NamedTuple):
    """One request on its way."""

    nth: int
    wanted: Wanted
    ending: CancelHandle


Carried = list[Any]
"""A response or None, and an error or None. Who hands them on takes them out.

The frames of who carried are in the error's traceback, and must not refer to the error: that would be a cycle.
"""


def carry(
    sender: Sender, wanted: Wanted, ending: CancelHandle, whole: bool, unique: bytes = b""
) -> Carried:
    """Do it. `whole`: the body has to be read where it was received. `unique`: tells this job from all others."""
    ending.here = True
    try:
        ending.check()
        response = sender(wanted, ending)
        if whole:
            response.read()
    except Exception as error:
        return [None, error]
    finally:
        ending.call = None
    return [response, None]
