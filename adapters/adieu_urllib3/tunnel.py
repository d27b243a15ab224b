"""What a proxy answers to CONNECT, looked at before http.client does, which tells a refusal by a status alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.errors import ProxyError
from adieu.http1.head import Malformed, Truncated
from adieu.lifecycle.deadline import Within
from adieu.texts import show

if TYPE_CHECKING:
    from adieu.messages.url import Origin
    from adieu.net.proxies.proxy import Proxy
    from adieu_urllib3.peer import PeerSocket

__all__ = ["check_tunnel"]

# The most bytes of a refusal's body in an error, and the seconds to wait for them.
_EXCERPT = 1024
_A_MOMENT = 0.25


def check_tunnel(sock: PeerSocket, proxy: Proxy | None, origin: Origin) -> None:
    """Wait for the answer, and leave a head for http.client to read. Raises `ProxyError` if there is no tunnel."""
    try:
        facts = sock.final_head("CONNECT")
    except (EOFError, Truncated):
        raise ProxyError(
            f"the proxy {proxy} made no tunnel to {origin}: it closed the connection without an answer"
        ) from None
    except Malformed as error:
        raise ProxyError(
            f"the proxy {proxy} made no tunnel to {origin}: {show(str(error))}"
        ) from error
    head, _, rest = sock.peek().partition(b"\r\n\r\n")
    line, _, block = head.decode("latin-1").partition("\r\n")
    reason = line[13:]
    if facts.status < 300:
        if rest:
            # They would be taken for the origin's first words.
            raise ProxyError(
                f"the proxy {proxy} sent {len(rest)} bytes more than its answer to CONNECT: "
                f'"{show(rest, 40)}"',
                status=facts.status,
                reason=reason,
            )
        # Of the answers that open a tunnel, which are all of 2xx, http.client knows 200 alone.
        sock.replace_buffered(b"HTTP/1.1 200 OK\r\n\r\n")
        return
    text = (
        f"the proxy {proxy} made no tunnel to {origin}: it answered {facts.status} {show(reason)}"
    )
    if facts.status == 407:
        text = f"{text.rstrip()}; {_wants(block, proxy)}"
    answer = _excerpt(sock, len(head) + 4, facts.length)
    if shown := " ".join(answer.decode("utf-8", "replace").split()):
        text = f'{text.rstrip()}; its words begin with "{show(shown)}"'
    raise ProxyError(text.rstrip(), status=facts.status, reason=reason, answer=answer)


def _wants(block: str, proxy: Proxy | None) -> str:
    """What a 407 asks for."""
    fields = [line.partition(":") for line in block.split("\r\n")]
    asked = [value.strip() for name, _, value in fields if name.lower() == "proxy-authenticate"]
    schemes = ", ".join(sorted({value.partition(" ")[0].lower() for value in asked}))
    wants = (
        "wants credentials" if proxy is None or proxy.auth is None else "refused the credentials"
    )
    return (
        f"it {wants}, and takes {show(schemes) or 'nothing that it names'}: "
        "give them by adieu.Proxy(url, auth=(user, password))"
    )


def _excerpt(sock: PeerSocket, start: int, length: int | None) -> bytes:
    """The first bytes of the answer's body, as far as they come soon."""
    size = _EXCERPT if length is None else min(length, _EXCERPT)
    soon = Within(_A_MOMENT, sock.limit)
    try:
        while sock.buffered < start + size:
            if not sock.fill(limit=soon):
                break
    except (Malformed, OSError):
        pass  # What matters has been said in the head.
    return sock.peek()[start : start + size]
