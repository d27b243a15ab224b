"""A name of requests, httpx, aiohttp or urllib3 gives an error that says what adieu calls it."""

from __future__ import annotations

import importlib
import pickle
import re
from typing import Any

import pytest

import adieu
from adieu._elsewhere import ARGUMENTS, ATTRIBUTES, MODULE, OPTIONS
from adieu.client.call_settings import CALL_OPTIONS
from adieu.client.settings import CLIENT_OPTIONS

# An object of each class whose attributes the table names, and with it its subclasses.
OBJECTS: dict[str, tuple[Any, ...]] = {
    "ClientBase": (adieu.Client(), adieu.AsyncClient()),
    "Cookies": (adieu.Cookies(),),
    "Headers": (adieu.Headers(),),
    "Request": (adieu.Request("GET", "https://a.example/"),),
    "ResponseHead": (adieu.Response(200), adieu.AsyncResponse(200)),
    "URL": (adieu.URL("https://a.example/"),),
}


@pytest.mark.parametrize("kind", ATTRIBUTES)
def test_an_attribute_of_another_client_names_that_of_adieu(kind: str) -> None:
    for name, meant in ATTRIBUTES[kind].items():
        for subject in OBJECTS[kind]:
            assert not hasattr(subject, name)
            said = f"'{type(subject).__name__}' object has no attribute '{name}'; in adieu it is "
            with pytest.raises(AttributeError) as caught:
                getattr(subject, name)
            assert str(caught.value) == said + meant
        if not meant.startswith(("the option", "client.", "dict(", "str(")):
            word = re.match(r"\w+", meant)
            assert word is not None
            assert hasattr(type(OBJECTS[kind][0]), word[0]), f"{kind} has no {word[0]}"


def test_a_name_of_another_module_names_those_of_adieu() -> None:
    for name, meant in MODULE.items():
        with pytest.raises(AttributeError) as caught:
            getattr(adieu, name)
        assert (
            str(caught.value) == f"module 'adieu' has no attribute '{name}'; in adieu it is {meant}"
        )
        for module, attribute in re.findall(r"\b(adieu[\w.]*)\.(\w+)", meant):
            assert hasattr(importlib.import_module(module), attribute), f"{module}.{attribute}"


def test_another_unknown_name_gets_the_hint_of_python_itself() -> None:
    with pytest.raises(AttributeError, match=r"^module 'adieu' has no attribute 'Clinet'$"):
        adieu.Clinet  # type: ignore[attr-defined] # noqa: B018
    response: Any = adieu.Response(200)
    with pytest.raises(AttributeError) as caught:
        response.contnet  # noqa: B018
    assert caught.value.name == "contnet"  # Python finds the nearest name by these two.
    assert caught.value.obj is response


def test_dir_shows_what_an_object_has() -> None:
    for kind, subjects in OBJECTS.items():
        for subject in subjects:
            assert "__class__" in dir(subject)
            assert set(dir(subject)) & set(ATTRIBUTES[kind]) == set()
    assert {"iter_bytes", "status_code"} <= set(dir(adieu.Response(200)))
    assert {"get", "timeout"} <= set(dir(adieu.Client()))


def test_a_subclass_may_have_the_name() -> None:
    class Mine(adieu.Client):
        def prepare_request(self) -> str:
            return "mine"

    with Mine() as client:
        assert client.prepare_request() == "mine"


VALUES: dict[str, type[Any]] = {
    "Connect": adieu.Connect,
    "Limits": adieu.Limits,
    "Retry": adieu.Retry,
    "TLSConfig": adieu.TLSConfig,
    "Timeout": adieu.Timeout,
}


@pytest.mark.parametrize("kind", ARGUMENTS)
def test_an_argument_of_another_client_names_that_of_adieu(kind: str) -> None:
    for name, meant in ARGUMENTS[kind].items():
        with pytest.raises(TypeError) as caught:
            VALUES[kind](**{name: 5})
        assert str(caught.value) == f"{kind} has no argument {name!r}: did you mean {meant}?"


def test_a_misspelt_argument_names_the_one_that_is_meant() -> None:
    kinds: Any = adieu
    with pytest.raises(TypeError, match=r"^Timeout has no argument 'conect': did you mean connect"):
        kinds.Timeout(conect=3)
    expected = r"^Proxy has no argument 'zone'; there are url, auth, digest, headers, tls$"
    with pytest.raises(TypeError, match=expected):
        kinds.Proxy("http://proxy.example", zone=1)


def test_a_timeout_without_a_name_says_how_it_is_written() -> None:
    kinds: Any = adieu
    expected = (
        "Timeout takes no argument without a name, not 1: timeout=5 gives each wait 5 s, as Timeout.of(5) does; "
        "Timeout(connect=3, read=27) and Timeout.of(5).replace(total=60) say which wait is meant"
    )
    for options in ({}, {"connect": 60}):
        with pytest.raises(TypeError) as caught:
            kinds.Timeout(10, **options)
        assert str(caught.value) == expected
    with pytest.raises(TypeError, match=r"^Limits takes 2 arguments without a name, not 3: there "):
        kinds.Limits(1, 2, 3)


def test_a_subclass_of_a_value_has_arguments_of_its_own() -> None:
    class Patient(adieu.Timeout):
        __slots__ = ()

        def __init__(self, factor: float = 1.0, *, read: float = 30.0) -> None:
            super().__init__(read=factor * read)

    assert Patient(2).read == 60
    assert pickle.loads(pickle.dumps(adieu.Timeout(read=3))) == adieu.Timeout(read=3)


def test_the_options_of_other_clients_are_none_of_adieu() -> None:
    known = CALL_OPTIONS | CLIENT_OPTIONS
    assert known & OPTIONS.keys() == set()
    assert set(OPTIONS.values()) <= known
