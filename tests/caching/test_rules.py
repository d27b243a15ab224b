"""The pure rules: dates, directives, ages, lifetimes, and what may be stored. The public suite has hundreds more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import adieu
from adieu_cache.cache_control import CacheControl
from adieu_cache.dates import parse_http_date
from adieu_cache.freshness import Use, initial_age, lifetime_of, use_of
from adieu_cache.rules import fields_to_store, why_not_stored
from adieu_cache.stored import Stored, key_of, variant_of
from support.growth import assert_linear

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = 1_800_000_000.0
NEW_YEAR = "Fri, 01 Jan 2027 00:00:00 GMT"


def directives(*lines: str) -> CacheControl:
    return CacheControl(adieu.Headers([("cache-control", line) for line in lines]))


def stored(**fields: str) -> Stored:
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    return Stored(200, "OK", adieu.Headers(headers), NOW, 0.0, "")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777),
        ("Sun Nov  6 08:49:37 1994", 784_111_777),
        ("Friday, 01-Jan-27 00:00:00 GMT", 1_798_761_600),
        ("Sun, 06 Nov 1994 08:49:37 UTC", None),
        ("Sun, 6 Nov 1994 08:49:37 GMT", None),
        ("Sun, 06 nov 1994 08:49:37 GMT", None),
        ("06 Nov 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994 24:49:37 GMT", None),
        ("Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT", None),
        ("Sun, ٠٦ Nov 1994 08:49:37 GMT", None),
        ("0", None),
        ("", None),
    ],
)
def test_a_date_is_in_one_of_three_forms_or_none(text: str, seconds: float | None) -> None:
    assert parse_http_date(text, NOW) == seconds


@pytest.mark.parametrize(
    ("lines", "name", "value"),
    [
        (["max-age=60"], "max-age", 60),
        (["MAX-AGE=60, public"], "max-age", 60),
        (["public", "max-age=60"], "max-age", 60),
        (['max-age="60"'], "max-age", 60),
        (["max-age=007"], "max-age", 7),
        (["max-age=1, max-age=60"], "max-age", 1),
        (["max-age=99999999999999999999"], "max-age", 2**31),
        (["max-age='60'"], "max-age", 0),
        (["max-age=-60"], "max-age", 0),
        (["max-age=60.5"], "max-age", 0),
        (["max-age = 60"], "max-age", 0),
        (["max-age"], "max-age", 0),
        (['extension="max-age=60"'], "max-age", None),
        (['extension="a, \\", max-age=60", s-maxage=5'], "max-age", None),
        (['extension="a, \\", max-age=60", s-maxage=5'], "s-maxage", 5),
        (["public"], "max-age", None),
    ],
)
def test_directives_are_read_strictly(lines: list[str], name: str, value: int | None) -> None:
    assert directives(*lines).seconds(name) == value


def test_a_directive_may_be_limited_to_fields() -> None:
    found = directives('no-cache="Set-Cookie, X-A", private')
    assert found.fields("no-cache") == {"set-cookie", "x-a"}
    assert not found.is_plain("no-cache")
    assert found.is_plain("private")


@pytest.mark.parametrize("text", [",", '"', '="', "a=", "a ", '\\"', "a=b c,"], ids=repr)
def test_reading_directives_takes_linear_time(text: str) -> None:
    assert_linear(lambda size: directives(text * size), 2000)


@pytest.mark.parametrize(
    ("fields", "age"),
    [
        ({}, 2),
        ({"age": "30"}, 32),
        ({"age": "30, 1000"}, 32),
        ({"age": "-30"}, 2),
        ({"age": "x"}, 2),
        ({"date": "Fri, 15 Jan 2027 07:58:00 GMT"}, 120),
        ({"date": "Fri, 15 Jan 2027 09:00:00 GMT"}, 2),
    ],
    ids=str,
)
def test_the_age_of_a_response_when_it_comes(fields: dict[str, str], age: float) -> None:
    assert initial_age(adieu.Headers(fields), NOW - 2, NOW) == age


@pytest.mark.parametrize(
    ("fields", "private", "shared"),
    [
        ({"cache_control": "max-age=60, s-maxage=5"}, 60, 5),
        ({"cache_control": "max-age=60", "expires": NEW_YEAR}, 60, 60),
        ({"expires": "Fri, 15 Jan 2027 08:01:00 GMT"}, 60, 60),
        (
            {"expires": "Fri, 15 Jan 2027 08:01:00 GMT", "date": "Fri, 15 Jan 2027 07:59:00 GMT"},
            120,
            120,
        ),
        ({"expires": "0"}, 0, 0),
        ({"expires": NEW_YEAR}, 0, 0),
        ({"last_modified": "Thu, 14 Jan 2027 08:00:00 GMT"}, 8640, 8640),
        ({"last_modified": "Fri, 14 Jan 2000 08:00:00 GMT"}, 604_800, 604_800),
        ({}, 0, 0),
    ],
    ids=str,
)
def test_how_long_a_response_is_fresh(
    fields: dict[str, str], private: float, shared: float
) -> None:
    response = stored(**fields)
    found = [lifetime_of(response, CacheControl(response.headers), of, 0.1) for of in (False, True)]
    assert found == [private, shared]


def test_nothing_is_guessed_unless_the_user_asks_for_it() -> None:
    response = stored(last_modified="Thu, 14 Jan 2027 08:00:00 GMT")
    assert lifetime_of(response, CacheControl(response.headers), False, 0) == 0
    of_an_error = response._replace(status=500)
    assert lifetime_of(of_an_error, CacheControl(response.headers), False, 0.1) == 0


def test_a_clock_that_goes_back_makes_nothing_younger() -> None:
    response = stored(cache_control="max-age=60")._replace(age=59.0)
    uses = [use_of(response, directives(), False, NOW + after, False, 0) for after in (-1000, 0, 1)]
    assert uses == [Use.FRESH, Use.FRESH, Use.CHECK]


def test_pragma_counts_where_there_is_no_cache_control() -> None:
    response = stored(cache_control="max-age=60")
    assert use_of(response, directives(), True, NOW, False, 0) is Use.CHECK
    assert use_of(response, directives("max-age=10"), True, NOW, False, 0) is Use.FRESH


@pytest.mark.parametrize(
    ("status", "fields", "why"),
    [
        (200, {}, ""),
        (206, {"cache-control": "max-age=60"}, "the status is 206"),
        (101, {}, "the status is 101"),
        (201, {}, "the status is 201, and nothing allows it"),
        (201, {"expires": NEW_YEAR}, ""),
        (599, {"cache-control": "max-age=60"}, ""),
        (
            599,
            {"cache-control": "max-age=60, must-understand"},
            "the status 599 has to be understood",
        ),
        (200, {"cache-control": "no-store, must-understand"}, ""),
        (200, {"cache-control": "no-store"}, "the response has no-store"),
        (200, {"vary": "accept, *"}, "Vary is *"),
    ],
    ids=str,
)
def test_what_may_be_stored(status: int, fields: dict[str, str], why: str) -> None:
    request, headers = adieu.Request("GET", "http://a.example/"), adieu.Headers(fields)
    assert why_not_stored(request, status, headers, CacheControl(headers), False) == why


def test_fields_of_one_connection_are_not_stored() -> None:
    headers = adieu.Headers(
        {
            "Connection": "close, X-Hop",
            "X-Hop": "1",
            "Keep-Alive": "timeout=5",
            "Transfer-Encoding": "chunked",
            "Proxy-Authenticate": "Basic",
            "X-Private": "1",
            "X-Unchecked": "1",
            "Content-Type": "text/plain",
            "Cache-Control": 'no-cache="X-Unchecked", private="X-Private"',
        }
    )
    kept = fields_to_store(headers, CacheControl(headers), shared=True)
    assert [*kept] == ["Content-Type", "Cache-Control"]
    assert "X-Private" in fields_to_store(headers, CacheControl(headers), shared=False)


def _variant(
    response: dict[str, str],
    connection: adieu.ConnectionSettings = adieu.ConnectionSettings(),  # noqa: B008 - a value
    **fields: str,
) -> str:
    sent = {name.replace("_", "-"): value for name, value in fields.items()}
    request = adieu.Request("GET", "http://a.example/", headers=sent)
    headers = adieu.Headers(response)
    return variant_of(request, headers, CacheControl(headers), connection)


def test_credentials_belong_to_the_variant_unless_the_response_is_public() -> None:
    private: Callable[..., str] = lambda **fields: _variant({}, **fields)  # noqa: E731
    public: Callable[..., str] = lambda **fields: _variant({"cache-control": "public"}, **fields)  # noqa: E731
    for name in ("authorization", "cookie", "x_api_key"):
        assert private(**{name: "one"}) == private(**{name: "one"})
        assert len({private(**{name: "one"}), private(**{name: "two"}), private()}) == 3
        assert public(**{name: "one"}) == public()
    assert private(accept="a") == private(accept="b")


@pytest.mark.filterwarnings("ignore::adieu.InsecureRequestWarning")
@pytest.mark.parametrize("control", ["max-age=60", "public, max-age=60"])
def test_what_nobody_checked_is_not_for_those_who_check(control: str) -> None:
    guards = [adieu.Guard().rules, adieu.Guard(allow=["10.0.0.0/8"]).rules]
    connections = [
        adieu.ConnectionSettings(),
        adieu.ConnectionSettings(tls=adieu.TLSConfig(verify=False)),
        adieu.ConnectionSettings(tls=adieu.TLSConfig(fingerprints=["ab" * 32])),
        *(adieu.ConnectionSettings(guard=guard) for guard in guards),
    ]
    assert len({_variant({"cache-control": control}, each) for each in connections}) == 5
    again = adieu.ConnectionSettings(tls=adieu.TLSConfig(verify=False))
    assert _variant({}, again) == _variant({}, connections[1])


def test_a_key_is_of_the_url_without_its_fragment() -> None:
    def key(url: str, method: str = "GET", content: bytes | None = None) -> str:
        return key_of(adieu.Request(method, url, content=content))

    one = key("https://a.example/?q=1")
    assert one == key("https://A.example:443/?q=1#part") == key("https://a.example/?q=1", "HEAD")
    others = {
        one,
        key("http://a.example/?q=1"),
        key("https://a.example/?q=2"),
        key("https://a.example/?q=1", "POST", b"a"),
        key("https://a.example/?q=1", "POST", b"b"),
    }
    assert len(others) == 5
