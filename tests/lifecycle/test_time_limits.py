"""`Within`: a bound for a step that may wait more than once."""

from __future__ import annotations

import pytest

from adieu.errors import DeadlineExceeded
from adieu.lifecycle.deadline import Deadline, Timeout, Within


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> Hands:
    hands = Hands()
    monkeypatch.setattr("adieu.lifecycle.deadline.monotonic", hands)
    return hands


def test_the_waits_of_a_step_last_so_long_together(hands: Hands) -> None:
    limit = Within(10)
    hands.now = 5  # It begins with the first wait.
    assert limit.remaining("read") == 10
    hands.now = 12
    assert limit.remaining("write") == 3
    hands.now = 15
    with pytest.raises(TimeoutError, match="it was not done within 10 s"):
        limit.remaining("read")


def test_without_time_the_first_wait_takes_what_is_there(hands: Hands) -> None:
    limit = Within(0)
    assert limit.remaining("read") == 0
    with pytest.raises(TimeoutError):
        limit.remaining("read")


def test_the_limit_around_it_holds_too(hands: Hands) -> None:
    whole = Deadline(Timeout(read=4, write=None, total=20), hands)
    limit = Within(10, whole)
    assert limit.remaining("read") == 4
    assert limit.remaining("write") == 10
    assert Within(None, whole).remaining("write") == 20
    assert Within(None).remaining("read") is None
    hands.now = 20
    with pytest.raises(DeadlineExceeded):
        limit.remaining("read")
