"""What is collected of a body takes the memory of its bytes, however small the chunks are that a peer sends."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from adieu.lifecycle.blocks import collect, take_first

if TYPE_CHECKING:
    from adieu.lifecycle.blocks import Blocks


@given(st.lists(st.sampled_from([1, 2, 3000, 16_383, 16_384, 70_000])))
def test_what_is_collected_is_taken_in_order(sizes: list[int]) -> None:
    chunks = [bytes([number % 256]) * size for number, size in enumerate(sizes)]
    blocks: Blocks = []
    for chunk in chunks:
        collect(blocks, chunk)
    assert b"".join(blocks) == b"".join(chunks)
    taken = []
    while blocks:
        taken.append(take_first(blocks))
    assert all(type(block) is bytes for block in taken)
    assert b"".join(taken) == b"".join(chunks)


def test_small_chunks_become_large_blocks() -> None:
    blocks: Blocks = []
    for _ in range(1 << 18):
        collect(blocks, b"ab")
    assert len(blocks) <= 8
    assert sum(map(sys.getsizeof, blocks)) < 2 * (1 << 19)


def test_large_chunks_are_not_copied() -> None:
    chunks = [bytes(16_384) for _ in range(5)]
    blocks: Blocks = []
    for chunk in chunks:
        collect(blocks, chunk)
    assert [block is chunk for block, chunk in zip(blocks, chunks, strict=True)] == [True] * 5
