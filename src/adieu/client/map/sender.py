"""Sends the requests of a sync map, with the map's client, or in another process with a client of equal settings."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

from adieu.client.map.cancel import CancellableCall
from adieu.lifecycle.steps import drive
from adieu.messages.request import Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu.client.call_settings import CallSettings
    from adieu.client.map.cancel import CancelHandle
    from adieu.client.map.outcome import Wanted
    from adieu.client.map.worker_clients import PackedClient
    from adieu.client.option_types import SendOptions
    from adieu.lifecycle.steps import Steps
    from adieu.messages.response import Response
    from adieu.messages.url import URL

__all__ = ["Sender", "SendsRequests"]


class SendsRequests(Protocol):
    """The part of a `Client` that a sync map needs."""

    def build_request(self, method: str, url: URL | str) -> Request: ...

    def _merged(self, options: SendOptions) -> CallSettings: ...

    def _sending(
        self,
        request: Request,
        stream: bool,
        settings: CallSettings,
        call: Callable[..., CancellableCall] = ...,
    ) -> Steps[Response]: ...

    def close(self) -> object: ...


class Sender:
    """Sends what a map is given. When pickled, it becomes a sender with a client of equal settings."""

    __slots__ = ("_client", "_options", "_packed", "_settings")

    def __init__(self, client: SendsRequests, options: SendOptions, settings: CallSettings) -> None:
        self._client = client
        self._options = options
        self._settings = settings
        self._packed: PackedClient[SendsRequests] | None = None

    def __call__(self, wanted: Wanted, handle: CancelHandle) -> Response:
        client = self._client
        request = wanted if isinstance(wanted, Request) else client.build_request("GET", wanted)
        return drive(
            client._sending(request, False, self._settings, partial(CancellableCall, handle))
        )

    def __reduce__(
        self,
    ) -> tuple[type[_WorkerSender], tuple[PackedClient[SendsRequests], SendOptions]]:
        packed = self._packed
        if packed is None:
            from adieu.client.map.worker_clients import pack

            # Once for all requests of the map. Two threads may do it at the same time, with the same result.
            self._packed = packed = pack(self._client)
        return _WorkerSender, (packed, self._options)


class _WorkerSender:
    """Sends with the client that a worker process keeps for the map's client.

    Unpickling makes no client: a scheduler unpickles too, and sends nothing.
    """

    __slots__ = ("_options", "_packed")

    def __init__(self, packed: PackedClient[SendsRequests], options: SendOptions) -> None:
        self._packed = packed
        self._options = options

    def __call__(self, wanted: Wanted, handle: CancelHandle) -> Response:
        from adieu.client.map.worker_clients import BorrowedClient

        with BorrowedClient(self._packed) as client:
            return Sender(client, self._options, client._merged(self._options))(wanted, handle)

    def __reduce__(
        self,
    ) -> tuple[type[_WorkerSender], tuple[PackedClient[SendsRequests], SendOptions]]:
        return _WorkerSender, (self._packed, self._options)
