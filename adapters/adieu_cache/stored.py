"""A stored response, and the names under which it is found: the key of its URL, and the variant of its request.

Invariants. No value of a request field is stored, and no URL with a secret in it: the key and the variant are digests,
and the URL that a person may read in a storage is that of `adieu.texts.show_url`. What a cache has to know besides the
response is kept in header fields of its own, which a server cannot set and a user does not see.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import hishel

from adieu import Headers
from adieu.texts import is_secret, show_url

if TYPE_CHECKING:
    from adieu import URL, ConnectionSettings, Request, TLSConfig
    from adieu_cache.cache_control import CacheControl

__all__ = ["Stored", "key_of", "shown", "variant_of"]

_RECEIVED = "adieu-cache-received"
_AGE = "adieu-cache-age"
_VARIANT = "adieu-cache-variant"
_REASON = "adieu-cache-reason"
_OWN_FIELDS = frozenset((_RECEIVED, _AGE, _VARIANT, _REASON))


class Stored(NamedTuple):
    """A stored response without its body.

    `received`: when its head came, or was last found to be current (seconds since the epoch). `age`: how old it was
    then. `variant`: what of its request has selected it. `entry`: where it is in the storage.
    """

    status: int
    reason: str
    headers: Headers
    received: float
    age: float
    variant: str
    entry: hishel.Entry | None = None

    @classmethod
    def of(cls, entry: hishel.Entry) -> Stored | None:
        """What a storage has given; None if adieu has not stored it."""
        fields = entry.response.headers
        headers = Headers(
            [
                (name, value)
                for name in fields
                if name not in _OWN_FIELDS
                for value in fields.get_list(name) or ()
            ]
        )
        try:
            received, age = float(fields[_RECEIVED]), float(fields[_AGE])
            variant, reason = fields[_VARIANT], fields[_REASON]
        except (KeyError, ValueError):
            return None
        return cls(entry.response.status_code, reason, headers, received, age, variant, entry)

    def fields(self) -> hishel.Headers:
        """All header fields, as a storage keeps them."""
        lists: dict[str, str | list[str]] = {
            _RECEIVED: repr(self.received),
            _AGE: repr(self.age),
            _VARIANT: self.variant,
            _REASON: self.reason,
        }
        for name, _ in self.headers.multi_items():
            if name.lower() not in _OWN_FIELDS:
                lists[name.lower()] = self.headers.get_list(name)
        return hishel.Headers(lists)


def key_of(request: Request, url: URL | None = None) -> str:
    """The key of what answers this request, or a GET of that URL: no secret can be read from it.

    Content belongs to the key of a method that has one, such as QUERY.
    """
    target = request.url if url is None else url
    digest = hashlib.sha256(f"{target.origin}{target.target}".encode())
    if url is None and request.method not in ("GET", "HEAD"):
        digest.update(f" {request.method} {request.headers.get('content-type', '')} ".encode())
        digest.update(request.content.body or b"")
    return digest.hexdigest()


def shown(request: Request) -> hishel.Request:
    """The request as a storage keeps it, for people who look into it."""
    return hishel.Request(request.method, show_url(request.url))


def variant_of(
    request: Request, response: Headers, directives: CacheControl, connection: ConnectionSettings
) -> str:
    """The digest of what of a request has selected its response, which another request must share.

    That is what `Vary` names (RFC 9111, section 4.1), and whatever looks like credentials: `Authorization`, `Cookie`,
    `X-Api-Key` ... A response that says it is for everybody ignores the latter. It is also how its connection was
    checked, and what it has shown: what came from a server that was not asked for its certificate, or that a guard
    would have refused, is not for an exchange that would not have got it.
    """
    names = {name.strip().lower() for name in response.get("vary", "").split(",")} - {""}
    parts: list[object] = [(name, _normal(request.headers, name)) for name in sorted(names)]
    if not (directives.has("public") or directives.has("s-maxage")):
        secrets = {name.lower() for name in request.headers if is_secret(name)}
        parts += [(name, _normal(request.headers, name)) for name in sorted(secrets - names)]
    if connection.guard is not None:
        parts.append(("guard", repr(connection.guard)))
    if connection.tls is not None:
        parts.append(("tls", *_checks_of(connection.tls)))
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _checks_of(tls: TLSConfig) -> tuple[object, ...]:
    """What of TLS settings decides who answers, and to whom, as far as it can be told across processes."""
    shown = None if tls.cert is None else tls.cert[:2]
    own = tls.context is not None
    return tls.verify, shown, tls.trust, tls.server_hostname, tls.fingerprints, own


def _normal(headers: Headers, name: str) -> str | None:
    """The value, with lines joined and white space around its members removed (RFC 9111, section 4.1)."""
    if not headers.has(name):
        return None
    members = ",".join(headers.get_list(name)).split(",")
    return ",".join(" ".join(member.split()) for member in members)
