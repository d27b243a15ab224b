"""Digest: challenges are answered once, nonces counted and renewed, wrong passwords not repeated."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.messages.fields.challenge import parse_parameters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu.testing.faults import Ending, FaultServer, Peer
    from adieu.testing.request import Request as Received
    from support.stage import Stage

pytestmark = pytest.mark.lifecycle


class DigestServer:
    """Protects `/doc` with Digest, strictly: it accepts each count of a nonce once.

    `uses`: how often a nonce may be used until it is stale; `renews`: every response has the next nonce.
    """

    def __init__(
        self,
        server: FaultServer,
        algorithm: str | None = "SHA-256",
        qop: str | None = "auth",
        *,
        uses: int = 1_000_000,
        renews: bool = False,
        more: str = "",
        realm: str = 'r "1"',
    ) -> None:
        self.algorithm, self.qop, self.uses, self.renews = algorithm, qop, uses, renews
        self.more = more
        self.realm = realm
        self.statuses: list[int] = []
        self._nonces: dict[str, set[str]] = {}
        self._lock = threading.Lock()
        server.on("/doc", self)

    def __call__(self, peer: Peer, request: Received) -> Ending:
        with self._lock:
            status, headers = self._check(request)
            self.statuses.append(status)
        peer.reply(status, request.body if status == 200 else b"challenge", headers)
        return "keep"

    def _check(self, request: Received) -> tuple[int, list[tuple[str, str]]]:
        scheme, _, rest = (request.header("authorization") or "").partition(" ")
        given = parse_parameters(rest)
        if scheme == "Digest" and self._is_correct(given, request):
            used = self._nonces.get(given["nonce"])
            count = given.get("nc", "")
            if used is None or len(used) >= self.uses:
                return 401, [self._challenge(", stale=true")]
            if self.qop is None or count not in used:
                used.add(count)
                following = f'nextnonce="{self._nonce()}"'
                return 200, [("authentication-info", following)] if self.renews else []
        return 401, [self._challenge("")]

    def _nonce(self) -> str:
        nonce = f"nonce {len(self._nonces)}"
        self._nonces[nonce] = set()
        return nonce

    def _challenge(self, stale: str) -> tuple[str, str]:
        algorithm = f", algorithm={self.algorithm}" if self.algorithm else ""
        qop = f', qop="{self.qop}"' if self.qop else ""
        value = (
            f'Digest realm="r \\"1\\"", nonce="{self._nonce()}"{algorithm}{qop}{stale}{self.more}'
        )
        return "www-authenticate", f'Basic realm="x", {value}'

    def _is_correct(self, given: dict[str, str], request: Received) -> bool:
        name = (self.algorithm or "MD5").lower().removesuffix("-sess")
        names = {"sha": "sha1", "sha-256": "sha256", "sha-512": "sha512"}
        name = {**names, "sha-512-256": "sha512_256"}.get(name, name)

        def h(text: bytes | str) -> str:
            return hashlib.new(name, text if isinstance(text, bytes) else text.encode()).hexdigest()

        key = h(f"user:{self.realm}:pässword")
        if (self.algorithm or "").endswith("-sess"):
            key = h(f"{key}:{given['nonce']}:{given['cnonce']}")
        what = f"{request.method}:{request.target}"
        if given.get("qop") == "auth-int":
            what = f"{what}:{h(request.body)}"
        middle = f"{given['nc']}:{given['cnonce']}:{given['qop']}:" if "qop" in given else ""
        expected = h(f"{key}:{given['nonce']}:{middle}{h(what)}")
        return given["response"] == expected and given["uri"] == request.target

    @property
    def served(self) -> list[int]:
        with self._lock:
            return self.statuses.copy()


def right_password() -> adieu.DigestAuth:
    return adieu.DigestAuth("user", "pässword")


ALGORITHMS = [None, "MD5", "MD5-sess", "SHA-256", "SHA-256-sess", "SHA-512-256", "SHA-512-256-sess"]


@pytest.mark.parametrize("qop", ["auth", "auth-int", "auth-int, auth", None])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_challenge_is_answered_and_needed_once(
    stage: Stage, algorithm: str | None, qop: str | None
) -> None:
    if (algorithm or "").startswith("SHA-512") and "sha512_256" not in hashlib.algorithms_available:
        pytest.skip("no SHA-512-256 on this system")
    if qop is None and (algorithm or "").endswith("-sess"):
        pytest.skip("a session needs a qop")
    server = DigestServer(stage.server, algorithm, qop)
    with stage.block(stage.one(auth=right_password())) as client:
        response = stage.get(client, "/doc?a=b", "PUT", content=b"content")
        assert (response.status_code, stage.read(response)) == (200, b"content")
        assert [hop.status_code for hop in response.history] == [401]
        # The nonce is known now: later requests increase its count.
        for body in ([b"pie", b"ces"], b""):
            response = stage.get(client, "/doc", "POST", content=body)
            assert stage.read(response) == b"".join(body if isinstance(body, list) else [body])
        assert server.served == [401, 200, 200, 200]
    assert stage.server.accepted == (4 if stage.adapter == "close" else 1)
    assert stage.nothing_open()


class Device(DigestServer):
    """Writes its challenge in its own way: `{nonce}` stands for a nonce."""

    def __init__(self, server: FaultServer, challenge: str, algorithm: str | None) -> None:
        super().__init__(server, algorithm, None, realm="My Camera")
        self._text = challenge

    def _challenge(self, stale: str) -> tuple[str, str]:
        nonce = f"dGlt{len(self._nonces)}Q=="
        self._nonces[nonce] = set()
        return "www-authenticate", self._text.replace("{nonce}", nonce)


@pytest.mark.parametrize(
    ("challenge", "algorithm"),
    [
        (
            'Digest realm="My Camera", qop="", nonce="{nonce}", algorithm="MD5", stale="false"',
            "MD5",
        ),
        ("Digest realm=My Camera, nonce={nonce}, algorithm=MD5", "MD5"),
        ("Digest realm=My Camera, qop=auth, nonce={nonce}", None),
        ('Digest qop=auth,auth-int, realm="My Camera", nonce={nonce}', None),
        ('Digest realm="My Camera", nonce="{nonce}", algorithm=SHA', "SHA"),
        ('Digest realm="My Camera", nonce="{nonce}", qop="auth", algorithm=SHA-512', "SHA-512"),
    ],
)
def test_challenges_as_devices_write_them_are_answered(
    stage: Stage, challenge: str, algorithm: str | None
) -> None:
    server = Device(stage.server, challenge, algorithm)
    with stage.block(stage.one(auth=right_password())) as client:
        assert stage.get(client, "/doc").status_code == 200
    assert server.served == [401, 200]


def test_a_stale_nonce_is_replaced(stage: Stage) -> None:
    server = DigestServer(stage.server, uses=2)
    with stage.block(stage.one(auth=right_password())) as client:
        for _ in range(5):
            assert stage.get(client, "/doc").status_code == 200
    assert server.served == [401, 200, 200, 401, 200, 200, 401, 200]


def test_a_nonce_that_is_always_stale_causes_no_endless_loop(stage: Stage) -> None:
    server = DigestServer(stage.server, uses=0)
    with stage.block(stage.one(auth=right_password())) as client:
        response = stage.get(client, "/doc")
        assert response.status_code == 401
        assert stage.read(response) == b"challenge"
        assert server.served == [401, 401, 401]
        stage.next_works(client)


def test_the_next_nonce_is_taken_from_authentication_info(stage: Stage) -> None:
    server = DigestServer(stage.server, uses=1, renews=True)
    with stage.block(stage.one(auth=right_password())) as client:
        for _ in range(5):
            assert stage.get(client, "/doc").status_code == 200
    assert server.served == [401, *[200] * 5]
    sent = [parse_parameters((r.header("authorization") or "")[7:]) for r in stage.server.requests]
    assert [given.get("nc") for given in sent] == [None, *["00000001"] * 5]


def test_a_wrong_password_is_tried_once_per_challenge(stage: Stage) -> None:
    server = DigestServer(stage.server)
    with stage.block(stage.one(auth=adieu.DigestAuth("user", "wrong"))) as client:
        for calls in (1, 2):
            response = stage.get(client, "/doc")
            assert response.status_code == 401
            assert stage.read(response) == b"challenge"
            assert len(server.served) == 2 * calls
        assert [bool(r.header("authorization")) for r in stage.server.requests] == [False, True] * 2
        stage.next_works(client)
    assert stage.nothing_open()


@pytest.mark.parametrize(
    "field",
    [
        None,
        "Basic realm=x",
        'Digest realm="r"',
        'Digest realm="r", nonce="n", algorithm=SHA-3',
        'Digest realm="r", nonce="n", qop="other"',
        'Digest realm="r',
    ],
)
def test_a_challenge_that_cannot_be_answered_is_the_response(
    stage: Stage, field: str | None
) -> None:
    challenge = "" if field is None else f"WWW-Authenticate: {field}\r\n"
    stage.server.reply(
        "/doc", f"HTTP/1.1 401 No\r\n{challenge}Content-Length: 2\r\n\r\nno".encode()
    )
    with stage.block(stage.one(auth=right_password())) as client:
        response = stage.get(client, "/doc")
        assert (response.status_code, stage.read(response)) == (401, b"no")
        assert stage.server.served == 1


@pytest.mark.parametrize("kind", ["iterator", "list"])
def test_content_is_protected_only_if_it_can_be_read_first(stage: Stage, kind: str) -> None:
    DigestServer(stage.server, qop="auth-int")

    def pieces() -> Iterator[bytes]:
        yield b"once"

    with stage.block(stage.one(auth=right_password())) as client:
        if kind == "list":
            response = stage.get(client, "/doc", "POST", content=[b"on", b"ce"])
            assert stage.read(response) == b"once"
            return
        assert stage.get(client, "/doc").status_code == 200
        with pytest.raises(adieu.ContentError, match=r"auth-int.*bytes, a file or a list"):
            stage.get(client, "/doc", "POST", content=pieces())
        stage.next_works(client)
    assert stage.nothing_open()


def test_an_iterator_is_an_error_after_a_challenge_and_sent_with_a_known_nonce(
    stage: Stage,
) -> None:
    server = DigestServer(stage.server)

    def pieces() -> Iterator[bytes]:
        yield b"once"

    with stage.block(stage.one(auth=right_password())) as client:
        with pytest.raises(adieu.ContentError, match="an iterator that has been used up"):
            stage.get(client, "/doc", "POST", content=pieces())
        assert server.served == [401]
        assert stage.get(client, "/doc").status_code == 200
        assert stage.read(stage.get(client, "/doc", "POST", content=pieces())) == b"once"
    assert stage.nothing_open()


def test_many_threads_share_one_nonce_and_no_count_is_used_twice(fault_server: FaultServer) -> None:
    server = DigestServer(fault_server)
    with adieu.Client(fault_server.url, adapter="native", auth=right_password()) as client:
        assert client.get("/doc").status_code == 200
        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(lambda _: client.get("/doc").status_code, range(100)))
    assert statuses == [200] * 100
    assert server.served == [401, *[200] * 101]


def test_the_number_of_remembered_origins_is_bounded() -> None:
    @adieu.adapter
    def every_origin(request: adieu.Request) -> adieu.Response:
        if "authorization" in request.headers:
            return adieu.Response(200)
        return adieu.Response(401, {"www-authenticate": 'Digest realm="r", nonce="n", qop=auth'})

    auth: Any = right_password()
    with adieu.Client(adapter=every_origin, auth=auth) as client:
        for port in range(1, 250):
            assert client.get(f"http://127.0.0.1:{port}/").status_code == 200
        assert len(auth._sessions) == 100
        assert client.get("http://127.0.0.1:249/").history == ()
        assert len(client.get("http://127.0.0.1:1/").history) == 1
