"""What an entry of the corpus is, and the few bytes that most of them are made of."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

__all__ = ["CHUNKED", "FIVE", "OK", "Reply", "Verdict", "bad", "good"]

Verdict = Literal["ok", "error"]

OK: Final = b"HTTP/1.1 200 OK\r\n"
FIVE: Final = b"Content-Length: 5\r\n"
CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"


class Reply(NamedTuple):
    """All bytes that a server sends in answer to one request.

    `request_method` is the method of that request, which decides on framing (HEAD). After `raw` the
    server closes if `closes`, else it waits for the next request. For the verdict ``ok``, `status`
    and `body` are what the client must deliver, and `reusable` says whether another request may be
    sent on the connection. `why` names the rule.
    """

    name: str
    request_method: str
    raw: bytes
    closes: bool
    verdict: Verdict
    why: str
    status: int | None = None
    body: bytes | None = None
    reusable: bool = False


def good(
    name: str,
    raw: bytes,
    body: bytes,
    why: str,
    *,
    status: int = 200,
    method: str = "GET",
    closes: bool = False,
    reusable: bool = True,
) -> Reply:
    """An entry with a message that is delivered."""
    return Reply(name, method, raw, closes, "ok", why, status, body, reusable)


def bad(name: str, raw: bytes, why: str, *, method: str = "GET") -> Reply:
    """An entry that must end in an error."""
    return Reply(name, method, raw, closes=True, verdict="error", why=why)
