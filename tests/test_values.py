"""Settings and policies are values: equal parameters make equal ones, as keys of dictionaries too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import adieu

if TYPE_CHECKING:
    from collections.abc import Callable

VALUES = (
    lambda: adieu.Timeout(read=3),
    lambda: adieu.Limits(3, idle=5),
    lambda: adieu.Retry(3, statuses=[503, 500]),
    lambda: adieu.Retry(budget=adieu.RetryBudget(5)),
    lambda: adieu.Retry(budget=None),
    lambda: adieu.TLSConfig(minimum_version="1.3"),
    lambda: adieu.Proxy("http://me:secret@proxy.example:3128"),
    lambda: adieu.Connect(addresses={"a.example": ["10.0.0.1", "::1"]}),
    lambda: adieu.BasicAuth("me", "secret"),
    lambda: adieu.BearerAuth("token"),
    lambda: adieu.URL("https://a.example/?b#c"),
    lambda: adieu.Cookie("a", "b", "a.example"),
    lambda: adieu.Read(5, 0.1, otherwise=adieu.CLOSE),
    lambda: adieu.Drain(5, 0.1),
)


@pytest.mark.parametrize("make", VALUES, ids=range(len(VALUES)))
def test_settings_with_equal_parameters_are_equal(make: Callable[[], object]) -> None:
    one, other = make(), make()
    assert one is not other or isinstance(one, adieu.URL)
    assert one == other
    assert hash(one) == hash(other)


def test_settings_with_other_parameters_are_not_equal() -> None:
    assert adieu.Retry(3) != adieu.Retry(4)
    assert adieu.Retry(budget=adieu.RetryBudget(5)) != adieu.Retry(budget=adieu.RetryBudget(6))
    assert adieu.Retry(budget=adieu.RetryBudget(5)) != adieu.Retry(budget=None)


def test_policies_are_equal_by_class_and_parameters() -> None:
    equal = (
        adieu.Prefetch,
        adieu.ReleaseOnRead,
        adieu.CloseOnExit,
        adieu.Strict,
        lambda: adieu.PrefetchUpTo(5),
        lambda: adieu.NoKeepAlive(adieu.ReleaseOnRead()),
    )
    for make in equal:
        assert make() == make()
        assert hash(make()) == hash(make())
        assert [make()] == [other() for other in equal if other() == make()]
    assert adieu.PrefetchUpTo(5) != adieu.PrefetchUpTo(6)

    class Mine(adieu.ReleaseOnRead):
        """A subclass is another policy: it may decide otherwise."""

    assert Mine() == Mine()
    assert Mine() != adieu.ReleaseOnRead()
