"""How strictly an adapter reads replies: what it makes of each reply of the corpus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import adieu
from adieu.testing.check.trial import SilentPolicy
from adieu.testing.corpus import REPLIES
from adieu.testing.corpus.heads import BAD_HEADS

if TYPE_CHECKING:
    from adieu.lifecycle.steps import Steps
    from adieu.testing.check.either import Either
    from adieu.testing.check.trial import Trial
    from adieu.testing.corpus import Reply

__all__ = ["ReplyProfile", "profile"]

Reading: TypeAlias = Literal["strict", "refused", "tolerant", "dangerous"]

_HEADS = frozenset(reply.name for reply in BAD_HEADS)
_SHOWN = 6


class ReplyProfile(NamedTuple):
    """The names of the replies of `adieu.testing.REPLIES` that an adapter reads in each way.

    `strict`: as RFC 9112 says, and nothing else. `refused`: an error, where the reply can be read. `tolerant`: a head
    that is not HTTP/1.1 is read as if it were, and nobody else's bytes are involved. `dangerous`: a reply whose end two
    readers could see in different places is read, or one is read wrongly, or its rest becomes the next response.
    """

    strict: tuple[str, ...]
    refused: tuple[str, ...]
    tolerant: tuple[str, ...]
    dangerous: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{len(self.strict)} of {sum(map(len, self))} replies are read strictly"]
        for kind, names in zip(self._fields[1:], self[1:], strict=True):
            if names:
                more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
                lines.append(f"{kind:<12}{len(names):>4}: {', '.join(names[:_SHOWN])}{more}")
        return "\n".join(lines)


def profile(t: Trial) -> Steps[ReplyProfile]:
    """Send a request for each reply of the corpus, and look what comes, and what the next request gets."""
    found: dict[str, list[str]] = {kind: [] for kind in ReplyProfile._fields}
    client = t.client(cleanup=SilentPolicy())
    for reply in REPLIES:
        kind = yield from _reading(t, client, reply)
        found[kind].append(reply.name)
    return ReplyProfile(*map(tuple, found.values()))


def _reading(t: Trial, client: Either, reply: Reply) -> Steps[Reading]:
    answer, body = yield from _answer(client, reply)
    if reply.closes:
        # Or it depends on chance whether the next request finds out.
        yield from t.eventually(lambda: not t.server.open, "the server did not close")
    if not (yield from _is_clean(t, client)):
        return "dangerous"
    if reply.verdict == "error":
        if answer is None:
            return "strict"
        return "tolerant" if reply.name in _HEADS else "dangerous"
    if answer is None:
        return "refused"
    return "strict" if (answer.status_code, body) == (reply.status, reply.body) else "dangerous"


def _answer(client: Either, reply: Reply) -> Steps[tuple[Either, bytes]]:
    try:
        response = yield client.request(reply.request_method, f"/garbage?kind={reply.name}")
        return response, (yield response.read())
    except adieu.AdieuError:
        return None, b""


def _is_clean(t: Trial, client: Either) -> Steps[bool]:
    """The next request gets the answer to itself, over a connection that was not left in doubt."""
    try:
        before = t.server.served
        response = yield client.get("/ok")
        yield response.read()
    except adieu.AdieuError:
        return False
    return bool(response.headers.get("x-request-number") == str(before + 1))
