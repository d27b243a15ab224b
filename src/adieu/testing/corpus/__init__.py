"""Raw replies, each with the verdict of a strict client on it: `REPLIES`.

The verdicts follow RFC 9112. What breaks the grammar is an "error" if two recipients could disagree about where the
message ends: such a disagreement is how one user gets another user's response. What old devices send, and every
recipient reads alike, is "ok" and not `reusable`: it is read, and the connection is closed.

The corpus is for tests that feed the same bytes to many clients and parsers, cut into pieces in many ways:

>>> [(reply.verdict, reply.why) for reply in REPLIES if reply.name == "coding-and-length"]
[('error', '9112 6.3, rule 3: ought to be handled as an error')]

Only the end of the stream distinguishes a truncated message from a slow one, so every error has ``closes``. A client
may see the error earlier, and for most of them it should.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.testing.corpus.bodies import BAD_BODIES
from adieu.testing.corpus.good import GOOD
from adieu.testing.corpus.heads import BAD_HEADS
from adieu.testing.corpus.lengths import BAD_LENGTHS
from adieu.testing.corpus.reply import Reply, Verdict
from adieu.testing.corpus.surplus import SURPLUS
from adieu.testing.corpus.tolerated import TOLERATED

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["BY_NAME", "REPLIES", "Reply", "Verdict"]

REPLIES: Sequence[Reply] = (*GOOD, *TOLERATED, *SURPLUS, *BAD_HEADS, *BAD_LENGTHS, *BAD_BODIES)

BY_NAME = {reply.name: reply for reply in REPLIES}
