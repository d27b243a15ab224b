"""Digest access authentication (RFC 7616): the credentials that answer a challenge.

Invariants: nothing here depends on the names of fields, so that servers (401) and proxies (407) share it. A `Round` is
a value; the credentials depend on it and on the request alone. `DigestSession` keeps the newest challenge of one
protection space and counts the uses of its nonce: each count is used once, also by many threads at a time.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from adieu.lifecycle.lock import locked, new_lock
from adieu.messages.fields.challenge import Challenge, quoted

__all__ = ["DigestSession", "Round", "begin", "choose", "normal"]

# The names of the algorithms, in challenges and in hashlib: those of RFC 7616, section 6.1, and two of devices.
_ALGORITHMS: Final = {
    "MD5": "md5",
    "SHA-256": "sha256",
    "SHA-512-256": "sha512_256",
    "SHA": "sha1",
    "SHA-512": "sha512",
}

_NOT_ATTR_CHAR: Final = re.compile(rb"[^A-Za-z0-9!#$&+.^_`|~-]")


class DigestSession:
    """A user's name and password in one protection space (an origin, or a proxy).

    `challenged` takes the challenges of a 401 or 407, `informed` the parameters of a later Authentication-Info field;
    `credentials` returns the value of the Authorization field, for later requests without a new challenge, too (RFC
    7616, section 3.6).
    """

    __slots__ = ("_count", "_lock", "_password", "_round", "_username")

    def __init__(self, username: str, password: str) -> None:
        self._username = username
        self._password = password
        self._lock = new_lock()
        self._round: Round | None = None
        self._count = 0

    @property
    def begun(self) -> bool:
        """Whether there has been a challenge that can be answered."""
        return self._round is not None

    def challenged(self, challenges: Iterable[Challenge]) -> Challenge | None:
        """Begin a new round with the first challenge that can be answered, and return it; None if there is none."""
        challenge = choose(challenges)
        if challenge is not None:
            cnonce = os.urandom(16).hex()
            locked(
                self._lock, self._begin, begin(challenge, self._username, self._password, cnonce)
            )
        return challenge

    def informed(self, parameters: dict[str, str]) -> None:
        """Take the next nonce from a (Proxy-)Authentication-Info field, if it has one (RFC 7616, section 3.5)."""
        old = self._round
        nonce = parameters.get("nextnonce")
        if old is not None and nonce is not None and nonce != old.challenge.parameters["nonce"]:
            challenge = old.challenge._replace(
                parameters={**old.challenge.parameters, "nonce": nonce}
            )
            locked(self._lock, self._begin, old._replace(challenge=challenge))

    def _begin(self, new: Round) -> None:
        self._round, self._count = new, 0

    def _next_use(self) -> tuple[Round | None, int]:
        self._count += 1
        return self._round, self._count

    def credentials(
        self, method: str, target: str, content: Callable[[], Iterable[bytes]] = tuple
    ) -> str | None:
        """The credentials for one request; None before the first challenge.

        `content` returns the request's content; it is called only if the server wants that protected, too (auth-int).
        """
        current, count = locked(self._lock, self._next_use)
        return None if current is None else current.credentials(method, target, count, content)


class Round(NamedTuple):
    """The part of the credentials that is the same for every use of one nonce. `key` is H(A1)."""

    challenge: Challenge
    username: str
    key: str
    cnonce: str

    def credentials(
        self, method: str, target: str, count: int, content: Callable[[], Iterable[bytes]] = tuple
    ) -> str:
        """The credentials for one request, the `count`th with this nonce (RFC 7616, section 3.4)."""
        given = self.challenge.parameters
        algorithm = _hash_name(given)
        qop = _qop(given)
        request = f"{method}:{target}"
        if qop == "auth-int":
            request = f"{request}:{_digest(algorithm, content())}"
        use = (f"{count:08x}", self.cnonce, qop) if qop is not None else ()
        response = _digest_joined(
            algorithm, self.key, given["nonce"], *use, _digest_joined(algorithm, request)
        )
        fields = [
            _username_parameter(given, self.username),
            f"realm={quoted(given['realm'])}",
            f"nonce={quoted(given['nonce'])}",
            f"uri={quoted(target)}",
            f'response="{response}"',
        ]
        if "algorithm" in given:
            fields.append(f"algorithm={given['algorithm']}")
        if qop is not None:
            fields.append(f"qop={qop}, nc={count:08x}")
        if qop is not None or _is_session(given):
            fields.append(f'cnonce="{self.cnonce}"')
        if "opaque" in given:
            fields.append(f"opaque={quoted(given['opaque'])}")
        return f"Digest {', '.join(fields)}"

    def __repr__(self) -> str:
        return f"<Digest round of {self.username!r}>"  # without the key, which is as good as the password


def choose(challenges: Iterable[Challenge]) -> Challenge | None:
    """The first Digest challenge that can be answered: servers list what they prefer first (RFC 7616, section 3.7)."""
    for challenge in challenges:
        given = challenge.parameters
        if (
            challenge.scheme == "digest"
            and "realm" in given
            and "nonce" in given
            and _is_known(given)
            and (_qop(given) is not None or not _offered(given))
        ):
            return challenge
    return None


def begin(challenge: Challenge, username: str, password: str, cnonce: str) -> Round:
    """The round for a challenge, a user and a nonce of the client (RFC 7616, section 3.4.2)."""
    given = challenge.parameters
    algorithm = _hash_name(given)
    username = normal(username)
    key = _digest(
        algorithm, [f"{username}:".encode(), _raw(given["realm"]), f":{normal(password)}".encode()]
    )
    if _is_session(given):
        key = _digest_joined(algorithm, key, given["nonce"], cnonce)
    return Round(challenge, username, key, cnonce)


def normal(text: str) -> str:
    """The text in Normalization Form C, in which name and password are encoded (RFC 7616, section 4)."""
    if text.isascii():
        return text
    from unicodedata import normalize

    return normalize("NFC", text)


def _username_parameter(given: dict[str, str], username: str) -> str:
    if given.get("userhash", "").lower() == "true":
        hashed = _digest(_hash_name(given), [f"{username}:".encode(), _raw(given["realm"])])
        return f'username="{hashed}", userhash=true'
    if username.isascii():
        return f"username={quoted(username)}"
    if given.get("charset", "").lower() == "utf-8":
        # Section 3.4: a name that is not ASCII is written in the extended notation of RFC 8187.
        return f"username*=UTF-8''{_NOT_ATTR_CHAR.sub(_percent, username.encode()).decode()}"
    # A server older than RFC 7616 does not know the extended notation, and compares bytes.
    return f"username={quoted(username.encode().decode('latin-1'))}"


def _percent(byte: re.Match[bytes]) -> bytes:
    return b"%%%02X" % ord(byte[0])


def _raw(text: str) -> bytes:
    """The text of a field, as its bytes on the wire."""
    return text.encode("latin-1")


def _digest_joined(algorithm: str, *parts: str) -> str:
    return _digest(algorithm, [_raw(":".join(parts))])


def _digest(algorithm: str, chunks: Iterable[bytes]) -> str:
    import hashlib

    hashed = hashlib.new(algorithm)
    for chunk in chunks:
        hashed.update(chunk)
    return hashed.hexdigest()


def _algorithm(given: dict[str, str]) -> str:
    """The algorithm as the server names it, in upper case; `_hash_name` is the name of its hash in hashlib."""
    return given.get("algorithm", "MD5").upper()


def _is_session(given: dict[str, str]) -> bool:
    return _algorithm(given).endswith("-SESS")


def _hash_name(given: dict[str, str]) -> str:
    return _ALGORITHMS.get(_algorithm(given).removesuffix("-SESS"), "")


def _is_known(given: dict[str, str]) -> bool:
    try:
        _digest(_hash_name(given), ())
    except ValueError:
        return False  # also where the system lacks it: OpenSSL without SHA-512-256, MD5 forbidden by FIPS
    return True


def _qop(given: dict[str, str]) -> str | None:
    """The quality of protection to use: "auth", which does not hash the content, if the server offers it."""
    offered = _offered(given)
    return next((name for name in ("auth", "auth-int") if name in offered), None)


def _offered(given: dict[str, str]) -> list[str]:
    """The qualities of protection that are offered. None, or `qop=""`, as devices write it: that of RFC 2069."""
    return [name for text in given.get("qop", "").split(",") if (name := text.strip().lower())]
