"""Annotations, for type checkers and for tools that read them in a running program."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from typing_extensions import Unpack, assert_type

import adieu

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPT = """
import inspect, typing
import adieu

def members(thing):
    yield thing
    for owner in inspect.isclass(thing) and thing.__mro__ or ():
        for name, member in vars(owner).items():
            if owner.__module__.startswith("adieu") and (name[0] != "_" or name == "__init__"):
                member = getattr(member, "fget", getattr(member, "__func__", member))
                if inspect.isfunction(member):
                    yield member

adieu.load_annotations()
adieu.load_annotations()
count = 0
for name in adieu.__all__:
    thing = getattr(adieu, name)
    if inspect.isfunction(thing) or inspect.isclass(thing):
        for member in members(thing):
            try:
                typing.get_type_hints(member)
            except Exception as error:
                print(name, member, error)
            count += 1
assert count > 700, count
assert typing.get_type_hints(adieu.Client.get)["return"] is adieu.Response
"""


def test_every_public_annotation_can_be_read_at_run_time() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def _wrapped(client: adieu.Client, **options: Unpack[adieu.CallOptions]) -> adieu.Response:
    return client.get("/items", **options)


def _made(**options: Unpack[adieu.ClientOptions]) -> adieu.Client:
    return adieu.Client("https://api.example.org", **options)


def _results(outcomes: adieu.Map) -> Iterator[Any]:
    for outcome in outcomes:
        if outcome.response is not None:
            yield outcome.response.json()


def test_the_names_for_annotations_are_there() -> None:
    """And type checkers know what they mean: this file is checked."""

    def served(request: adieu.Request) -> adieu.Response:
        return adieu.Response(404, json={"error": request.url.path})

    with _made(adapter=served) as client:
        response = _wrapped(client, params={"page": 2}, timeout=5)
        assert_type(response, adieu.Response)
        assert_type(response.links, dict[str, adieu.Link])
        assert_type(response.cookies, dict[str, str])
        assert_type(response.request, adieu.Request)
        with pytest.raises(adieu.StatusError) as caught:
            response.raise_for_status()
        error = caught.value
        assert_type(error.response.text, str)
        assert (error.method, error.url) == ("GET", "https://api.example.org/items?page=2")
        assert error.response.json() == {"error": "/items"}
        with client.map(["/a", "/b"]) as outcomes:
            assert_type(outcomes, adieu.Map)
            assert len(list(_results(outcomes))) == 2


def test_type_checkers_report_a_name_that_does_not_exist() -> None:
    """mypy refuses an ignore that ignores nothing, so this line fails if `adieu` answers for every name."""
    with pytest.raises(AttributeError, match="module 'adieu' has no attribute 'Cleint'"):
        _ = adieu.Cleint  # type: ignore[attr-defined]
