"""Authentication and cookies against httpbin, on a real socket."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from servers import KNOWN_PORTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.stage import Stage


@pytest.fixture(scope="module")
def httpbin() -> Iterator[str]:
    """httpbin behind cheroot, which keeps connections alive."""
    from cheroot import wsgi
    from httpbin import app

    server: Any = wsgi.Server(("127.0.0.1", 0), app, numthreads=4, shutdown_timeout=1)
    server.prepare()
    port: int = server.bind_addr[1]
    KNOWN_PORTS.add(port)
    thread = threading.Thread(target=server.serve, name="httpbin", daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{port}"
    server.stop()
    thread.join(30)
    assert not thread.is_alive()


def test_basic(stage: Stage, httpbin: str) -> None:
    with stage.block(stage.runner.client(base_url=httpbin, adapter=stage.adapter)) as client:
        for path in ("/basic-auth/user/pass", "/hidden-basic-auth/user/pass"):
            right = stage.get(client, path, auth=("user", "pass"))
            assert (right.status_code, right.json()["user"]) == (200, "user")
            assert right.history == ()
            assert stage.get(client, path, auth=("user", "wrong")).status_code in {401, 404}
            assert stage.get(client, path).status_code in {401, 404}
    assert stage.nothing_open()


def test_bearer(stage: Stage, httpbin: str) -> None:
    with stage.block(stage.runner.client(base_url=httpbin, adapter=stage.adapter)) as client:
        answer = stage.get(client, "/bearer", auth=adieu.BearerAuth("a.b-c"))
        assert answer.json() == {"authenticated": True, "token": "a.b-c"}


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256", "SHA-512"])
@pytest.mark.parametrize("qop", ["auth", "auth-int"])
def test_digest(stage: Stage, httpbin: str, qop: str, algorithm: str) -> None:
    path = f"/digest-auth/{qop}/user/pass/{algorithm}"
    auth = adieu.DigestAuth("user", "pass")
    with stage.block(
        stage.runner.client(base_url=httpbin, adapter=stage.adapter, auth=auth)
    ) as client:
        answer = stage.get(client, path)
        assert (answer.status_code, answer.json()["user"]) == (200, "user")
        assert [hop.status_code for hop in answer.history] == [401]
        # Its nonces are valid as long as the client sends its cookies.
        assert stage.get(client, path).history == ()
        wrong = stage.get(client, path, auth=adieu.DigestAuth("user", "wrong"))
        assert wrong.status_code == 401
        assert len(wrong.history) == 1
    assert stage.nothing_open()


def test_stale_nonces_of_digest_are_replaced(stage: Stage, httpbin: str) -> None:
    path = "/digest-auth/auth/user/pass/MD5/1"
    auth = adieu.DigestAuth("user", "pass")
    with stage.block(
        stage.runner.client(base_url=httpbin, adapter=stage.adapter, auth=auth)
    ) as client:
        statuses = [stage.get(client, path).status_code for _ in range(4)]
        assert statuses == [200] * 4


def test_cookies_are_set_sent_and_deleted_also_by_redirects(stage: Stage, httpbin: str) -> None:
    with stage.block(stage.runner.client(base_url=httpbin, adapter=stage.adapter)) as client:
        answer = stage.get(client, "/cookies/set?a=1&b=2")
        assert len(answer.history) == 1
        assert answer.json()["cookies"] == {"a": "1", "b": "2"}
        answer = stage.get(client, "/cookies", cookies={"b": "own", "c": "3"})
        assert answer.json()["cookies"] == {"a": "1", "b": "own", "c": "3"}
        assert stage.get(client, "/cookies/delete?a").json()["cookies"] == {"b": "2"}
        assert {cookie.name: cookie.value for cookie in client.cookies} == {"b": "2"}
