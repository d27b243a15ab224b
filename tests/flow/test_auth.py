"""Authentication: which credentials are sent with a request, and how invalid ones are refused."""

from __future__ import annotations

import pickle
import re
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.flow.auth import as_auth

if TYPE_CHECKING:
    from pathlib import Path

    from support.stage import Stage

pytestmark = pytest.mark.lifecycle


def basic(pair: str | bytes) -> str:
    return f"Basic {b64encode(pair.encode() if isinstance(pair, str) else pair).decode()}"


def fields_sent(stage: Stage) -> list[str | None]:
    """The Authorization fields of all requests."""
    return [request.header("authorization") for request in stage.server.requests]


def field_of_call(stage: Stage, client: Any, url: str = "/ok", **options: Any) -> str | None:
    """The Authorization field of one call."""
    assert stage.get(client, url, **options).status_code == 200
    return fields_sent(stage)[-1]


# Basic, Bearer, netrc, functions


@pytest.mark.parametrize(
    ("auth", "field"),
    [
        (("user", "pass"), basic("user:pass")),
        (("user", ""), basic("user:")),
        (("", "token"), basic(":token")),
        (("üser", "pässwörd:1"), basic("üser:pässwörd:1")),
        (("u\u0308ser", "p"), basic("üser:p")),
        ((b"\xfcser", b"p\xe4ss"), basic(b"\xfcser:p\xe4ss")),
        (adieu.BasicAuth("user"), basic("user:")),
        (adieu.BearerAuth("a.b-c_d=="), "Bearer a.b-c_d=="),
        (adieu.BearerAuth(lambda: "made"), "Bearer made"),
    ],
)
def test_credentials_are_sent_with_the_first_request(stage: Stage, auth: Any, field: str) -> None:
    with stage.block(stage.client(auth=auth)) as client:
        assert field_of_call(stage, client) == field
    with stage.block(stage.client()) as client:
        assert field_of_call(stage, client, auth=auth) == field
        assert field_of_call(stage, client) is None
    assert stage.server.served == 3


def test_a_token_function_is_called_before_every_request(stage: Stage) -> None:
    tokens = iter("abc")
    with stage.block(stage.client(auth=adieu.BearerAuth(lambda: next(tokens)))) as client:
        for token in "ab":
            assert field_of_call(stage, client) == f"Bearer {token}"


def test_a_function_gets_a_request_of_its_own_and_changes_or_replaces_it(stage: Stage) -> None:
    def sign(request: adieu.Request) -> None:
        request.headers["x-signature"] = f"{request.method} {request.url.target}"

    def redirect(request: adieu.Request) -> adieu.Request:
        return adieu.Request("PUT", request.url.join("/echo"), content=b"instead")

    with stage.block(stage.client(auth=sign)) as client:
        request = client.build_request("GET", "/echo")
        for _ in range(2):
            stage.run(client.send(request))
            assert stage.server.requests[-1].header("x-signature") == "GET /echo"
            assert "x-signature" not in request.headers
        answer = stage.get(client, "/ok", auth=redirect)
        assert (answer.request.method, answer.url.path) == ("PUT", "/echo")
        assert stage.server.requests[-1].body == b"instead"


def test_the_return_value_of_an_auth_function_is_checked(stage: Stage) -> None:
    with stage.block(stage.one()) as client:
        with pytest.raises(adieu.InvalidRequest, match="returned bool; it returns a Request, or N"):
            stage.get(client, "/ok", auth=lambda request: True)
        stage.next_works(client)


NETRC = """
machine 127.0.0.1 login user password pss
machine example.org
    login other
    password hunter2
"""


def test_a_netrc_file_is_read_once_and_matched_by_host(stage: Stage, tmp_path: Path) -> None:
    file = tmp_path / "netrc"
    file.write_text(NETRC)
    auth = adieu.NetrcAuth(file)
    file.unlink()
    with stage.block(stage.client(auth=auth)) as client:
        assert field_of_call(stage, client) == basic("user:pss")
        assert field_of_call(stage, client, f"http://localhost:{stage.server.port}/ok") is None
    assert repr(auth) == f"NetrcAuth({str(file)!r})"


def test_the_default_entry_of_a_netrc_is_for_every_other_host(stage: Stage, tmp_path: Path) -> None:
    file = tmp_path / "netrc"
    file.write_text("machine example.org login a password b\ndefault login c password d\n")
    with stage.block(stage.client(auth=adieu.NetrcAuth(file))) as client:
        assert field_of_call(stage, client) == basic("c:d")


def test_no_netrc_file_is_read_without_netrcauth(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login home password p\n")
    (tmp_path / ".netrc").chmod(0o600)
    other = tmp_path / "other"
    other.write_text("machine 127.0.0.1 login environment password p\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("NETRC", str(other))
    with stage.block(stage.client()) as client:
        assert field_of_call(stage, client) is None
        assert field_of_call(stage, client, auth=adieu.NetrcAuth()) == basic("home:p")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (None, "cannot be read: No such file"),
        ("machine example.org login a password b\nhunter2 hunter2\n", "not understood, in line 2"),
        (b"\xff\xfe\x00", "not understood|no text"),
    ],
)
def test_a_netrc_file_that_cannot_be_used_is_an_error_that_quotes_nothing_of_it(
    tmp_path: Path, text: str | bytes | None, error: str
) -> None:
    file = tmp_path / "netrc"
    if text is not None:
        file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(adieu.InvalidRequest, match=error) as caught:
        adieu.NetrcAuth(file)
    assert str(file) in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


# Several credentials


def test_the_nearest_credentials_win(stage: Stage) -> None:
    url = f"http://in:url@127.0.0.1:{stage.server.port}/ok"
    with stage.block(stage.client(auth=("client", "p"))) as client:
        explicit = {"authorization": "Explicit"}
        assert field_of_call(stage, client) == basic("client:p")
        assert field_of_call(stage, client, url) == basic("in:url")
        assert field_of_call(stage, client, headers=explicit) == "Explicit"
        assert field_of_call(stage, client, url, headers=explicit) == "Explicit"
        assert field_of_call(stage, client, auth=("call", "p")) == basic("call:p")
        assert field_of_call(stage, client, url, auth=("call", "p")) == basic("call:p")
        assert field_of_call(stage, client, headers=explicit, auth=("call", "p")) == basic("call:p")
        # With None, only an Authorization field of the call is sent.
        assert field_of_call(stage, client, auth=None) is None
        assert field_of_call(stage, client, url, auth=None) is None
        assert field_of_call(stage, client, url, headers=explicit, auth=None) == "Explicit"


def test_a_client_has_one_kind_of_credentials(stage: Stage) -> None:
    with pytest.raises(adieu.InvalidRequest, match="an Authorization header were given: which"):
        stage.client(auth=("a", "b"), headers={"AUTHORIZATION": "x"})
    with stage.block(stage.client(auth=("a", "b"), headers={"Authorization": None})) as client:
        assert field_of_call(stage, client) == basic("a:b")
    with pytest.raises(adieu.InvalidRequest, match="a user name in base_url were given: which"):
        stage.runner.client(base_url="https://user:p@example.org", auth=("a", "b"))


@pytest.mark.parametrize("userinfo", ["user:password", ":password", "%C3%BCser:p%40ss%3Aword"])
def test_userinfo_is_sent_as_basic_however_the_request_was_made(
    stage: Stage, userinfo: str
) -> None:
    url = f"http://{userinfo}@127.0.0.1:{stage.server.port}/echo"
    with stage.block(stage.client()) as client:
        made = adieu.Request("GET", url)
        for response in (
            stage.get(client, url),
            stage.run(client.send(made)),
            stage.run(client.send(client.build_request("GET", url))),
        ):
            pair = b64decode((fields_sent(stage)[-1] or "").partition(" ")[2]).decode()
            assert pair in {"user:password", ":password", "üser:p@ss:word"}
            assert response.url == adieu.URL(f"{stage.server.url}/echo")
            assert response.request.url.username is None
        assert "authorization" not in made.headers
    assert len(set(fields_sent(stage))) == 1


def test_the_userinfo_of_a_base_url_is_for_relative_urls(stage: Stage) -> None:
    base = f"http://user:pw@127.0.0.1:{stage.server.port}"
    with stage.block(stage.runner.client(base_url=base, adapter=stage.adapter)) as client:
        assert field_of_call(stage, client) == basic("user:pw")
        assert field_of_call(stage, client, f"{stage.server.url}/ok") is None
        assert field_of_call(stage, client, auth=None) is None


def test_one_shots_take_credentials(stage: Stage) -> None:
    url = f"{stage.server.url}/ok"
    options: dict[str, Any] = {"adapter": stage.adapter, "auth": ("a", "b")}
    assert stage.run(stage.runner.one_shot("GET", url, **options)).status_code == 200
    assert fields_sent(stage) == [basic("a:b")]


# Invalid credentials


@pytest.mark.parametrize(
    ("auth", "error"),
    [
        ("hunter2", "not str"),
        (("hunter2",), "not tuple"),
        (("a", "b", "hunter2"), "not tuple"),
        (["a", "hunter2"], "not list"),
        (adieu.BasicAuth, r"not type \(an instance of it: write it with parentheses\)"),
        (("user", None), "the password must be str or bytes, not NoneType"),
        ((7, "hunter2"), "the user name must be str or bytes, not int"),
        (("us:er", "hunter2"), "has no colon"),
        (("user", "hunter2\n"), "the password has a control character"),
        (("user\0", "hunter2"), "the user name has a control character"),
        (("user", "hunter2\ud800"), "lone surrogate"),
    ],
)
def test_an_invalid_auth_is_refused_early_without_showing_it(auth: Any, error: str) -> None:
    for make in (as_auth, lambda auth: adieu.Client(auth=auth)):
        with pytest.raises(adieu.InvalidRequest, match=error) as caught:
            make(auth)
        assert "hunter2" not in str(caught.value)
    with adieu.Client() as client, pytest.raises(adieu.InvalidRequest, match=error):
        client.get("http://127.0.0.1:9/", auth=auth)


@pytest.mark.parametrize("token", ["", "hunter2 x", "hunter2\n", "hunter2é", b"hunter2", None, 5])
def test_an_invalid_token_is_refused_without_showing_it(token: Any) -> None:
    with pytest.raises(adieu.InvalidRequest, match="bearer token") as caught:
        adieu.BearerAuth(token)
    assert "hunter2" not in str(caught.value)
    with adieu.Client() as client, pytest.raises(adieu.InvalidRequest, match="bearer token"):
        client.get("http://127.0.0.1:9/", auth=adieu.BearerAuth(lambda: token))


@pytest.mark.parametrize("password", ["x\ny", b"x", None])
def test_digest_refuses_an_invalid_password(password: Any) -> None:
    with pytest.raises(adieu.InvalidRequest, match="the password"):
        adieu.DigestAuth("user", password)


# No secret is shown


@pytest.mark.parametrize(
    ("auth", "shown"),
    [
        (adieu.BasicAuth("user", "hunter2"), "BasicAuth('user', '***')"),
        (adieu.BearerAuth("hunter2"), "BearerAuth('***')"),
        (adieu.DigestAuth("user", "hunter2"), "DigestAuth('user', '***')"),
    ],
)
def test_no_repr_shows_a_secret_and_every_auth_pickles(auth: Any, shown: str) -> None:
    assert repr(auth) == shown
    again = pickle.loads(pickle.dumps(auth))
    assert repr(again) == shown
    assert type(again) is type(auth)
    if not isinstance(auth, adieu.DigestAuth):
        assert again == auth


def test_a_response_shows_no_secret(stage: Stage) -> None:
    with stage.block(stage.client(auth=("user", "hunter2"))) as client:
        response = stage.get(client, "/ok", cookies={"session": "hunter2"})
        field = fields_sent(stage)[-1]
        assert field is not None
        shown = repr((response, response.request, response.request.headers, client))
        assert "hunter2" not in shown
        assert field not in shown
        assert re.findall(r"'(\w+)', '\*\*\*'", shown) == ["Authorization", "Cookie"]
