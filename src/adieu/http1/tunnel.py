"""Ways through proxies: from a wire that reaches the proxy to a stream that ends at the origin, as steps.

Theory of operation. The wire is asked for a plain stream to the proxy, as for any origin; TLS to the proxy, CONNECT and
SOCKS go over that stream, whatever made it, so every wire works behind every proxy. TLS to the origin comes after, made
by the engine with the settings that it has without a proxy: in a tunnel nothing else changes. A request to
an http origin is not tunnelled but handed to the proxy, with its whole URL (RFC 9112, section 3.2.2).

Invariants: everything made on the way belongs to the scope. Credentials and fields for the proxy are written here and
nowhere else: into CONNECT, and into requests that the proxy forwards.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from adieu.errors import ConnectError, ProxyError, RequestTimeout, TransportError
from adieu.http1.head import MAX_INTERIM, Head, Malformed
from adieu.http1.native_codec import NativeCodec
from adieu.http1.request_writer import field_block
from adieu.lifecycle.deadline import Within
from adieu.messages.headers import Headers
from adieu.messages.url import Origin
from adieu.net.system_errors import reason
from adieu.texts import show

if TYPE_CHECKING:
    from adieu.errors import Phase
    from adieu.lifecycle.steps import Steps
    from adieu.messages.fields.challenge import Challenge
    from adieu.messages.fields.digest import DigestSession
    from adieu.messages.url import URL
    from adieu.net.address_rules import AddressRules
    from adieu.net.async_wire import AsyncWire
    from adieu.net.proxies.proxy import ProxiedOrigin, Proxy
    from adieu.net.scope import ConnectScope
    from adieu.net.stream import AnyStream
    from adieu.net.tls.config import TLSConfig
    from adieu.net.wire import Wire

__all__ = ["StartTLS", "Tunnels"]

_READ = 16 * 1024
# How much of the body of a refusal an error quotes, and how long to wait for it (bytes, seconds).
_EXCERPT = 1024
_A_MOMENT = 0.25
# How much of the body of a challenge is read, so that its connection can be used again (bytes).
_DRAINED = 64 * 1024
# How many proxies' Digest sessions are remembered.
_MOST_SESSIONS = 64

Fields = list[tuple[str, str]]
StartTLS = Callable[[Any, str, "ConnectScope"], object]
"""Puts TLS over a stream: (stream, host name, scope), sync or awaited."""


class Tunnels:
    """How one adapter gets through proxies: by which wire, and what Digest authentication has to remember."""

    __slots__ = ("_secured", "_sessions", "_wire")

    def __init__(self, wire: Wire | AsyncWire, secured: StartTLS) -> None:
        self._wire = wire
        self._secured = secured
        self._sessions: dict[Proxy, DigestSession] = {}

    def open(self, via: ProxiedOrigin, scope: ConnectScope) -> Steps[AnyStream]:
        """A stream through the proxy: to the origin, or, if it forwards, to itself.

        Raises `ProxyError`, `RequestTimeout`, and `DNSError` for a name that is to be looked up here.
        """
        try:
            return (yield from self._open(via, scope))
        except TimeoutError as error:
            late = error if isinstance(error, RequestTimeout) else scope.exceeded()
            # The URL alone does not tell whether the proxy or the origin was late.
            late.args = (f"{late.args[0]}, on the way through the proxy {via.proxy}",)
            try:
                raise late
            finally:
                del late  # Or the exception's traceback would refer to the exception: a cycle.

    def _open(self, via: ProxiedOrigin, scope: ConnectScope) -> Steps[AnyStream]:
        # A guard judges the origin; the user has chosen the proxy.
        guard, scope.guard = scope.guard, None
        if via.proxy.is_socks:
            return (yield from self._socks(via, scope, guard))
        if guard is not None:
            guard.behind_proxy(via)
        stream = yield from self._reach(via, scope)
        if via.forwards:
            return stream
        codec = NativeCodec()
        head = yield from self._connect(codec, stream, via, scope)
        if head.status == 407 and self.challenged(via.proxy, head):
            codec, stream, head = yield from self._answer(codec, head, stream, via, scope)
        if head.status >= 300:
            raise (yield from _refused(codec, head, stream, via, scope))
        if surplus := codec.leftover():
            # They would be taken for the beginning of what the origin sends.
            raise ProxyError(
                f"the proxy {via.proxy} sent {len(surplus)} bytes more than its answer to CONNECT: "
                f'"{show(surplus, 40)}"',
                status=head.status,
                reason=head.reason,
            )
        return stream

    def _answer(
        self,
        codec: NativeCodec,
        head: Head,
        stream: AnyStream,
        via: ProxiedOrigin,
        scope: ConnectScope,
    ) -> Steps[tuple[NativeCodec, AnyStream, Head]]:
        """Ask again after a challenge: over the same connection if the proxy keeps it, else over a new one."""
        if (yield from _drained(codec, head, stream, scope)):
            try:
                return codec, stream, (yield from self._connect(codec, stream, via, scope))
            except ProxyError:
                pass  # The proxy has closed it in the meantime.
        stream.close()
        codec, stream = NativeCodec(), (yield from self._reach(via, scope))
        return codec, stream, (yield from self._connect(codec, stream, via, scope))

    # -- requests to the proxy -------------------------------------------------------------------------------------

    def forwarded(self, proxy: Proxy, method: str, url: URL, fields: Fields) -> tuple[str, Fields]:
        """Target and fields of a request as this proxy is to forward it."""
        target = f"{url.scheme}://{url.authority}{url.target}"
        return target, [*fields, *self._own_fields(proxy, method, target)]

    def _own_fields(self, proxy: Proxy, method: str, target: str) -> Fields:
        fields = list(proxy.headers)
        credentials = proxy.basic()
        if proxy.digest:
            credentials = self._session(proxy).credentials(method, target)
        if credentials is not None:
            fields.append(("Proxy-Authorization", credentials))
        return fields

    def challenged(self, proxy: Proxy, head: Head) -> bool:
        """Whether this 407 can be answered, so that it is worth asking again."""
        return proxy.digest and self._session(proxy).challenged(_challenges(head)) is not None

    def _session(self, proxy: Proxy) -> DigestSession:
        session = self._sessions.get(proxy)
        if session is None:
            from adieu.messages.fields.digest import DigestSession

            assert proxy.auth is not None
            if len(self._sessions) >= _MOST_SESSIONS:
                self._sessions = {}
            session = self._sessions.setdefault(proxy, DigestSession(*proxy.auth))
        return session

    # -- getting there ---------------------------------------------------------------------------------------------

    def _reach(self, via: ProxiedOrigin, scope: ConnectScope) -> Steps[AnyStream]:
        """A stream to the proxy itself."""
        place = via.proxy.url.origin
        try:
            stream: AnyStream = yield self._wire.open(Origin("tcp", place.host, place.port), scope)
            # Its own close wakes a thread that reads before the descriptor goes.
            scope.own(stream)
            if place.scheme == "https":
                for_origins, peer = scope.tls, scope.peer
                scope.tls, scope.peer = via.proxy.tls or _for_proxy(for_origins), via.proxy
                stream = yield self._secured(stream, place.host.rstrip("."), scope)
                scope.own(stream)
                scope.tls, scope.peer = for_origins, peer
        except TimeoutError:
            raise
        except (OSError, ConnectError) as error:
            raise _unreachable(error, via) from error
        return stream

    def _connect(
        self, codec: NativeCodec, stream: AnyStream, via: ProxiedOrigin, scope: ConnectScope
    ) -> Steps[Head]:
        """Ask for a tunnel (RFC 9110, section 9.3.6), and give the final head of the answer."""
        proxy, origin = via
        host = f"[{origin.host}]" if ":" in origin.host else origin.host
        target = f"{host}:{origin.port}"
        fields = [("Host", target), *self._own_fields(proxy, "CONNECT", target)]
        out = codec.request("CONNECT", target, field_block(fields)) + codec.end()
        try:
            yield stream.send(out, scope)
            for _ in range(MAX_INTERIM + 1):
                while (head := codec.head()) is None:
                    data = yield stream.recv(_READ, scope)
                    if not data:
                        raise Malformed("it closed the connection without an answer")
                    codec.feed(data)
                if head.status >= 200:
                    return head
            raise Malformed(f"it sent more than {MAX_INTERIM} 1xx responses")
        except TimeoutError:
            raise
        except (OSError, Malformed) as error:
            raise ProxyError(
                f"the proxy {proxy} made no tunnel to {target}: {show(str(error))}"
            ) from error

    def _socks(
        self, via: ProxiedOrigin, scope: ConnectScope, guard: AddressRules | None
    ) -> Steps[AnyStream]:
        from adieu.net.proxies import socks

        assert via.origin.port is not None
        places = [(via.origin.host, via.origin.port)]
        if socks.resolves_here(via.proxy.scheme):
            places = yield from self._addresses(via, scope, guard)
        elif guard is not None:
            guard.behind_proxy(via)
        while True:
            stream = yield from self._reach(via, scope)
            try:
                yield from socks.ask(stream, via, places.pop(0), scope)
            except ProxyError:
                if not places:
                    raise
                stream.close()  # It may have a way to the other family's address.
            except TimeoutError:
                raise
            except OSError as error:
                raise _unreachable(error, via) from error
            else:
                return stream

    def _addresses(
        self, via: ProxiedOrigin, scope: ConnectScope, guard: AddressRules | None
    ) -> Steps[list[tuple[str, int]]]:
        """The origin's first address of each family that the proxy's protocol has room for, each with its port.

        The port is that of the address: one that `Connect(addresses=...)` sets may have its own, and a guard judges it.
        """
        proxy, origin = via
        assert origin.port is not None
        found = yield self._wire.addresses(origin.host, origin.port, scope)
        if found is None:
            raise ProxyError(
                f"{proxy.scheme}:// has names looked up here, which {self._wire!r} cannot: "
                "let the proxy do it, with socks5h:// or socks4a://"
            )
        if guard is not None:
            found = guard.permitted(found, origin)
        first: dict[int, tuple[str, int]] = {}
        for family, place in found:
            first.setdefault(family, (str(place[0]).partition("%")[0], place[1]))
        places = [
            place for place in first.values() if proxy.scheme == "socks5" or ":" not in place[0]
        ]
        if not places:
            raise ProxyError(f"{origin} has no IPv4 address, and SOCKS4 knows no others")
        return places


def _for_proxy(tls: TLSConfig | None) -> TLSConfig | None:
    """The client's TLS settings without what is for origins alone: a proxy is shown no client certificate."""
    return tls.for_proxy() if tls is not None else None


def _challenges(head: Head) -> list[Challenge]:
    from adieu.messages.fields.challenge import parse_challenges

    return parse_challenges(Headers.from_wire(head.fields).get_list("proxy-authenticate"))


def _unreachable(error: Exception, via: ProxiedOrigin) -> ProxyError:
    import ssl

    phase: Phase = error.phase if isinstance(error, TransportError) else "connect"
    why = reason(error)
    if isinstance(error, ssl.SSLError):
        from adieu.net.tls.handshake import describe_tls_error

        phase, why = "tls", describe_tls_error(error, via.proxy.url.host)
    return ProxyError(f"the proxy {via.proxy} cannot be reached: {why}", phase=phase)


def _refused(
    codec: NativeCodec, head: Head, stream: AnyStream, via: ProxiedOrigin, scope: ConnectScope
) -> Steps[ProxyError]:
    """The error for a proxy that answered, and made no tunnel."""
    body = yield from _beginning(codec, stream, scope, _EXCERPT)
    proxy, origin = via
    line = f"{head.status} {show(head.reason)}".rstrip()
    text = f"the proxy {proxy} made no tunnel to {origin}: it answered {line}"
    if head.status == 407:
        offered = ", ".join(sorted({challenge.scheme for challenge in _challenges(head)}))
        wants = "refused the credentials" if proxy.auth is not None else "wants credentials"
        text += (
            f"; it {wants}, and takes {show(offered) or 'nothing that it names'}: "
            "give them by adieu.Proxy(url, auth=(user, password)), with digest=True for Digest"
        )
    if words := " ".join(body.decode("utf-8", "replace").split()):
        text += f'; its words begin with "{show(words)}"'
    return ProxyError(text, status=head.status, reason=head.reason, answer=body)


def _drained(codec: NativeCodec, head: Head, stream: AnyStream, scope: ConnectScope) -> Steps[bool]:
    """Read the body of an answer if it is short and comes soon; whether the connection can be used again then."""
    if not head.keep_alive or head.framing == "close" or (head.length or 0) > _DRAINED:
        return False
    yield from _beginning(codec, stream, scope, _DRAINED + 1)
    return codec.is_reusable() and not stream.readable()


def _beginning(
    codec: NativeCodec, stream: AnyStream, scope: ConnectScope, most: int
) -> Steps[bytes]:
    """The first bytes of the answer's body, as far as they come soon."""
    body = b""
    soon = Within(_A_MOMENT, scope)
    try:
        while len(body) < most:
            chunk = codec.body()
            if chunk is None:
                codec.feed((yield stream.recv(_READ, soon)))
            elif chunk:
                body += chunk
            else:
                break
    except (Malformed, OSError):
        pass  # The head has said what matters.
    return body[:most]
