from __future__ import annotations

import ipaddress

import pytest

from adieu.errors import InvalidURL
from adieu.messages.url import URL


def refusal(text: object) -> str:
    with pytest.raises(InvalidURL) as caught:
        URL(text)  # type: ignore[arg-type]
    return str(caught.value)


@pytest.mark.parametrize(
    ("host", "normal"),
    [
        ("EXAMPLE.org", "example.org"),
        ("münchen.de", "xn--mnchen-3ya.de"),
        ("MÜNCHEN.de", "xn--mnchen-3ya.de"),
        ("mu\u0308nchen.de", "xn--mnchen-3ya.de"),
        ("m%C3%BCnchen.de", "xn--mnchen-3ya.de"),
        ("xn--mnchen-3ya.de", "xn--mnchen-3ya.de"),
        ("XN--MNCHEN-3YA.de", "xn--mnchen-3ya.de"),
        ("straße.de", "xn--strae-oqa.de"),
        ("例え.jp", "xn--r8jz45g.jp"),
        ("例え。jp", "xn--r8jz45g.jp"),
        ("\uff45xample.org", "example.org"),
        ("ex\u00adample.org", "example.org"),
        ("i❤.ws", "xn--i-7iq.ws"),
        ("💩.la", "xn--ls8h.la"),
        ("bücher.-a_b-.r3---sn.org", "xn--bcher-kva.-a_b-.r3---sn.org"),
        ("עברית.example", "xn--5dbqzzl.example"),
        ("ex%61mple.org", "example.org"),
        ("my_service", "my_service"),
        ("r3---sn-4g5e.example.org", "r3---sn-4g5e.example.org"),
        ("example.org.", "example.org."),
    ],
)
def test_every_spelling_of_a_name_becomes_the_one_of_dns(host: str, normal: str) -> None:
    assert URL(f"https://{host}/").host == normal


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("xn--", "canonical"),
        ("xn--a", "UTS 46"),
        ("xn--example-", "canonical"),
        ("xn--mnchen-3YA.xn--0", "UTS 46"),
        ("xn--xn---epa", "cannot be a label"),
        ("a\u0661b.org", "direction"),  # an Arabic digit in a label that begins left to right
        ("\u05d0a.org", "direction"),
        ("\u0300a.org", "combining"),
        ("a\u200cb.org", "joiner"),
        ("a\u2f00\ufffeb.org", "not allowed"),
    ],
)
def test_an_invalid_international_name_is_refused_with_the_reason(host: str, reason: str) -> None:
    text = refusal(f"https://{host}/")
    assert "UTS 46" in text
    assert reason.lower() in text.lower()


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("ex ample.org", "has ' ' at position 2"),
        ("ex%20ample.org", "has ' ' at position 2"),
        ("a%2Fb", "has '/' at position 1"),
        ("a%00b", "has '\\x00' at position 1"),
        ("a%0d%0ab", "has '\\r' at position 1"),
        ("a\uff052eb", "has '%' at position 1"),
        ("a*b", "has '*' at position 1"),
        ("a<b", "has '<'"),
        ("{host}", "has '{' at position 0"),
        ("a,b", "has ','"),
        ("a..b", "empty label"),
        (".a", "empty label"),
        ("a..", "empty label"),
        (".", "empty label"),
        ("a." + "b" * 64, "more than 63"),
        ("ü" * 64 + ".de", "more than 63"),
        (".".join(["a" * 49] * 6), "longer than the 253"),
        ("ü" * 2000, "too long"),
        ("a%ff", "not UTF-8"),
    ],
)
def test_a_host_that_dns_does_not_allow_is_refused(host: str, reason: str) -> None:
    assert reason in refusal(f"https://{host}/")


@pytest.mark.parametrize(
    ("host", "normal"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("127.0.1", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("0X7F.0.0.0x1", "127.0.0.1"),
        ("0177.0.0.01", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("127.0.0.1.", "127.0.0.1"),
        ("192.168.257", "192.168.1.1"),
        ("0", "0.0.0.0"),
        ("0x", "0.0.0.0"),
        ("4294967295", "255.255.255.255"),
        ("\uff1127\u30020\uff0e0.1", "127.0.0.1"),
        ("%31%32%37.1", "127.0.0.1"),
    ],
)
def test_an_ipv4_address_is_recognised_in_every_spelling(host: str, normal: str) -> None:
    assert URL(f"http://{host}/").host == normal


@pytest.mark.parametrize(
    "host",
    ["256.0.0.1", "1.2.3.4.5", "4294967296", "1.2.3.256", "1.256.3", "0x100.1", "08", "1.2.3.09",
     "a.b.c.4", "foo.0x4", "1..2.3", "1_0.1", "-0.1", "0x1_0.1", "0x-1.1", "9" * 60, "0x" + "f" * 60],
)  # fmt: skip
def test_a_name_that_ends_in_a_number_but_is_no_address_is_refused(host: str) -> None:
    text = refusal(f"http://{host}/")
    assert "not an IPv4 address" in text or "empty label" in text


@pytest.mark.parametrize("host", ["1.2.3.4a", "0xg", "1.a", "4.example.org", "0x7f.1.x", "a1"])
def test_a_name_with_numbers_is_a_name(host: str) -> None:
    assert URL(f"http://{host}/").host == host


@pytest.mark.parametrize(
    ("host", "normal"),
    [
        ("[::1]", "::1"),
        ("[2001:DB8:0:0:0:0:0:1]", "2001:db8::1"),
        ("[1:0:0:2:0:0:0:3]", "1:0:0:2::3"),
        ("[::ffff:192.0.2.1]", "::ffff:c000:201"),
        ("[::FFFF:C000:201]", "::ffff:c000:201"),
        ("[::192.0.2.1]", "::c000:201"),
        ("[::]", "::"),
    ],
)
@pytest.mark.parametrize("scheme", ["https", "mock"])
def test_an_ipv6_address_is_compressed_and_has_brackets_only_in_texts(
    scheme: str, host: str, normal: str
) -> None:
    u = URL(f"{scheme}://{host}:8443/")
    assert u.host == u.host_key == normal
    assert u.authority == f"[{normal}]:8443"
    assert str(u.origin) == f"{scheme}://[{normal}]:8443"
    ipaddress.IPv6Address(u.host)


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("[::1", 'no closing "]"'),
        ("[::1]x", """has 'x' after its "]\""""),
        ("[::1]x:80", """has 'x:80' after its "]\""""),
        ("[]", "not an IPv6 address"),
        ("[1:2]", "not an IPv6 address"),
        ("[::g]", "not an IPv6 address"),
        ("[127.0.0.1]", "not an IPv6 address"),
        ("[v1.x]", "not an IPv6 address"),
        ("[fe80::1%25eth0]", "connect=adieu.Connect(addresses={'[fe80::1]': 'fe80::1%eth0'})"),
        ("[fe80::1%eth0]", "write '[fe80::1]', and give the zone to the client: connect="),
        ("[fe80::1%]", "has a zone identifier, which no URL has (RFC 9844): write '[fe80::1]'"),
        ("[fe80::g%eth0]", "not an IPv6 address"),
        ("::1", "host '::1' has a ':': an IPv6 address stands in brackets"),
        ("fe80::1:8080", "an IPv6 address stands in brackets"),
        ("fe80::1%eth0", "an IPv6 address stands in brackets"),
        ("a]b", "has ']'"),
    ],
)
@pytest.mark.parametrize("scheme", ["http", "mock"])
def test_brackets_without_an_ipv6_address_are_refused(scheme: str, host: str, reason: str) -> None:
    assert reason in refusal(f"{scheme}://{host}/")


def test_a_trailing_dot_stays_on_the_wire_but_not_in_the_key() -> None:
    u = URL("https://Example.org./")
    assert (u.host, u.authority, u.host_key) == ("example.org.", "example.org.", "example.org")
    assert u != URL("https://example.org/")
    assert u.origin != URL("https://example.org/").origin
