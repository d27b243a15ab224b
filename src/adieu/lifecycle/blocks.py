"""Bytes that are collected in blocks: many small chunks take the memory of their bytes, not that of as many objects.

A peer chooses how small its chunks are. A list of chunks of two bytes takes thirty times their size; and taking the
first of a long list moves all the others.
"""

from __future__ import annotations

from typing import TypeAlias

__all__ = ["Blocks", "collect", "take_first"]

Blocks: TypeAlias = list[bytes | bytearray]
"""What was collected, in order. Small chunks are together in a `bytearray`."""

# A chunk of this size is a block of its own. A TLS record in full is not copied.
_LARGE = 16 * 1024
# A block of small chunks gets no more when it is so large.
_BLOCK = 64 * 1024


def collect(blocks: Blocks, chunk: bytes) -> None:
    """Add a chunk at the end."""
    if not blocks or len(chunk) >= _LARGE:
        blocks.append(chunk)
        return
    last = blocks[-1]
    if type(last) is bytearray and len(last) < _BLOCK:
        last += chunk
    elif len(last) < _LARGE:
        blocks[-1] = bytearray().join((last, chunk))
    else:
        blocks.append(bytearray(chunk))


def take_first(blocks: Blocks) -> bytes:
    """Remove the first block."""
    return bytes(blocks.pop(0))
