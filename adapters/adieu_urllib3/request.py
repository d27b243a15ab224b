"""What urllib3 is asked to send: the request's target, fields and body, checked as on every adapter."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import urllib3
from urllib3.util import SKIP_HEADER

from adieu.errors import AdieuError, ContentError, InvalidRequest
from adieu.http1.request_writer import RequestWriter, fields_to_send
from adieu.texts import show_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from adieu.messages.request import Request
    from adieu.net.connection_settings import ConnectionSettings
    from adieu.transport.exchange import Exchange

__all__ = ["Outgoing", "refuse_unsupported"]

_DEFAULTS = ("host", "user-agent", "accept-encoding")
_INSTEAD = 'mount the adapter "native" for this URL'


def refuse_unsupported(request: Request, settings: ConnectionSettings) -> None:
    """Raise `InvalidRequest` for what urllib3 cannot send."""
    if request.method == "CONNECT" or "upgrade" in request.headers:
        raise InvalidRequest(f"urllib3 opens no tunnels and upgrades no connections: {_INSTEAD}")
    if request.content.trailers is not None:
        raise InvalidRequest(f"urllib3 sends no trailers: {_INSTEAD}")
    proxy = settings.route
    if proxy is not None and proxy.digest:
        raise InvalidRequest(
            f"urllib3 has no Digest authentication for proxies ({proxy}): {_INSTEAD}"
        )


class Fields:
    """A list of fields with the methods of a mapping that urllib3 calls."""

    __slots__ = ("_list",)

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        known = {name.lower() for name, _ in fields}
        # Or urllib3 would send its own.
        skipped = [(name, SKIP_HEADER) for name in _DEFAULTS if name not in known]
        self._list = [*fields, *skipped]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._list)

    def items(self) -> list[tuple[str, str]]:
        """The fields, in their order."""
        return self._list


class Outgoing:
    """One attempt to send a request. `closes`: it says that its connection is not to be kept.

    `expects`: the peer is to say that it wants the content before that is sent (RFC 9110, section 10.1.1).
    """

    __slots__ = ("_listed", "_request", "_writer", "closes", "expects", "fields", "target")

    def __init__(self, request: Request, exchange: Exchange) -> None:
        """Raises `InvalidRequest` for a head that cannot be sent."""
        url = request.url
        self._request = request
        self.target = url.target
        proxy = exchange.connection.route
        if proxy is not None and not proxy.is_socks and url.scheme == "http":
            # The proxy forwards it (RFC 9112, section 3.2.2).
            self.target = f"{url.scheme}://{url.authority}{url.target}"
        fields = fields_to_send(request, exchange)
        self._writer = writer = RequestWriter(request.method, self.target, fields)
        self.closes = writer.closes
        self.expects = writer.expects
        self._listed = [field for field in fields if field[0].lower() != "expect" or writer.expects]
        self.fields = urllib3.HTTPHeaderDict(self._listed)

    def fields_as_sent(self, given: Mapping[str, str] | None) -> Fields:
        """The fields that urllib3's pool was given, in the order in which the request has them.

        The mapping that urllib3 takes has all fields of a name together, and in one spelling. What a tool has changed
        is as the tool wants it.
        """
        left = list((given or {}).items())
        if left == self._listed:
            return Fields(self._listed)
        known = Counter((name.lower(), value) for name, value in left)
        fields = []
        for name, value in self._listed:
            if known[name.lower(), value] > 0:
                known[name.lower(), value] -= 1
                fields.append((name, value))
        for name, value in left:
            if known[name.lower(), value] > 0:
                known[name.lower(), value] -= 1
                fields.append((name, value))
        return Fields(fields)

    def body(self) -> bytes | Iterator[bytes] | None:
        """The body, as `urlopen` takes it. Its length is compared with what the head announces."""
        content = self._request.content
        if content.body is None:
            return self._chunks()
        if content.body:
            self._writer.data(content.body)
        self._writer.end()
        return content.body or None

    def _chunks(self) -> Iterator[bytes]:
        # What the user's content raises while it is read is no fault of the connection, even if it is an OSError.
        request = self._request
        try:
            for chunk in request.content.chunks():
                data = bytes(chunk)
                if data:
                    self._writer.data(data)
                    yield data
        except AdieuError:
            raise
        except Exception as error:
            raise ContentError(
                f"the content of {request.method} {show_url(request.url)} could not be read: {error!r}"
            ) from error
        self._writer.end()
