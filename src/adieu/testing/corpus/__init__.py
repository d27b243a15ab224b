"""Raw replies, each with what a client that puts safety first must make of it: `REPLIES`.

The verdicts follow RFC 9112 read strictly. Where it lets a recipient be lenient, the corpus says no
if leniency could make two readers disagree about where a message ends, and yes if it could not: a
disagreement about framing is how one user's answer reaches another. What stays undecided is left
out, so every verdict can be tested.

The corpus is for tests that feed the same bytes to many clients, parsers and ways of cutting the
bytes into pieces:

>>> [(reply.verdict, reply.why) for reply in REPLIES if reply.name == "coding-and-length"]
[('error', '9112 6.3, rule 3: ought to be handled as an error')]

A message that was cut short is told from a slow one by the end of the stream alone, so every error
comes with ``closes``; a client may, and for most of them should, see it earlier.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.testing.corpus.bodies import BAD_BODIES
from adieu.testing.corpus.good import GOOD
from adieu.testing.corpus.heads import BAD_HEADS
from adieu.testing.corpus.lengths import BAD_LENGTHS
from adieu.testing.corpus.reply import Reply, Verdict
from adieu.testing.corpus.surplus import SURPLUS

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["BY_NAME", "REPLIES", "Reply", "Verdict"]

REPLIES: Sequence[Reply] = (*GOOD, *SURPLUS, *BAD_HEADS, *BAD_LENGTHS, *BAD_BODIES)

BY_NAME = {reply.name: reply for reply in REPLIES}
