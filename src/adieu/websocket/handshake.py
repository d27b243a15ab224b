"""The opening handshake (RFC 6455, section 4): the fields of the request, and what a 101 agrees to."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from adieu.errors import InvalidRequest, MissingExtra, ProtocolError
from adieu.texts import show, show_url

try:
    from websockets.client import ClientProtocol
    from websockets.datastructures import Headers
    from websockets.exceptions import InvalidHandshake
    from websockets.extensions.permessage_deflate import enable_client_permessage_deflate
    from websockets.http11 import Response
    from websockets.uri import parse_uri
except ImportError as error:
    raise MissingExtra("client.websocket() needs websockets: pip install 'adieu[ws]'") from error

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from websockets.extensions import Extension
    from websockets.typing import Subprotocol

    from adieu.messages.response_head import ResponseHead

__all__ = ["Agreed", "Handshake"]

# The fields are for a connection that is adieu's: the URL of the library's own object is not sent.
_ANY = parse_uri("ws://localhost/")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+\-.^_`|~]+").fullmatch


class Agreed(NamedTuple):
    """What client and server have agreed to: the extensions in use, and the subprotocol, None for none."""

    extensions: Sequence[Extension]
    subprotocol: str | None


class Handshake:
    """One opening handshake. `subprotocols`: in order of preference. `compression`: offer permessage-deflate."""

    def __init__(self, subprotocols: Iterable[str], compression: bool) -> None:
        wanted = _checked(subprotocols)
        self._protocol = ClientProtocol(
            _ANY,
            extensions=enable_client_permessage_deflate(None) if compression else None,
            subprotocols=wanted or None,
        )

    def fields(self) -> list[tuple[str, str]]:
        """The fields that the request must have, in addition to Host."""
        fields = self._protocol.connect().headers.raw_items()
        return [(name, value) for name, value in fields if name.lower() != "host"]

    def accept(self, response: ResponseHead) -> Agreed:
        """What this 101 agrees to. Raises `ProtocolError` if it is no answer to this handshake."""
        headers = Headers()
        for name, value in response.headers.multi_items():
            headers[name] = value
        try:
            self._protocol.process_response(Response(101, response.reason, headers))
        except InvalidHandshake as error:
            request = response.request
            raise ProtocolError(
                f"the server's 101 opens no WebSocket: {show(str(error))} ({request.method} {show_url(request.url)})",
                request_sent="wholly",
                response_started=True,
                method=request.method,
                url=str(request.url),
            ) from error
        return Agreed(self._protocol.extensions, self._protocol.subprotocol)


def _checked(subprotocols: Iterable[str]) -> list[Subprotocol]:
    wanted: list[Subprotocol] = []
    if not isinstance(subprotocols, (str, bytes)):
        wanted += subprotocols  # type: ignore[arg-type] # `Subprotocol` is text under another name.
        if all(isinstance(name, str) and _TOKEN(name) for name in wanted):
            return wanted
    raise InvalidRequest(
        f'subprotocols is a list of names, as in ["chat.v2", "chat"], not {subprotocols!r:.80}'
    )
