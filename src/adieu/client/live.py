"""The two settings of a client that change in place: its header fields, and its cookies.

Both are made when they are first needed: finding out which codings can be decoded (Accept-Encoding) is not cheap, and
most clients never get a cookie.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING

from adieu._loading import Loading
from adieu._version import __version__
from adieu.errors import InvalidRequest
from adieu.flow.cookies import as_jar
from adieu.messages.headers import Headers, merge, names_of

if TYPE_CHECKING:
    from typing import Literal

    from adieu.client.options import CookieValues
    from adieu.messages.cookies.jar import Cookies
    from adieu.messages.headers import FieldValue, HeaderChanges
    from adieu.messages.url import URL

__all__ = ["ClientCookies", "ClientHeaders", "LiveHeaders", "fit_range"]


def _defaults() -> Headers:
    """The fields that a client sends if it has no others."""
    return Headers.from_wire(
        [
            ("User-Agent", f"adieu/{__version__}"),
            ("Accept", "*/*"),
            ("Accept-Encoding", _accept_encoding()),
        ]
    )


@cache
def _default_snapshot() -> Headers:
    """The same for one request, with their index: all clients without fields of their own share it, and copy it."""
    return LiveHeaders(_defaults()).snapshot


def fit_range(headers: Headers) -> None:
    """With a Range, the default Accept-Encoding gives way to identity, as in browsers (Fetch, section 4.6).

    A range counts the bytes of the representation that is chosen, so a range of a coded one cannot be decoded.
    """
    if headers.has("range") and headers.get("accept-encoding") == _accept_encoding():
        headers["Accept-Encoding"] = "identity"


def _accept_encoding() -> str:
    with Loading("the content codings"):
        from adieu.messages.decoding.decoder import accept_encoding

    return accept_encoding()


class LiveHeaders(Headers):
    """`client.headers`: the fields that go with every request. A change applies to the next one.

    Requests copy `snapshot`. A change replaces the snapshot and never alters it, so a thread that copies it meanwhile
    gets the whole change or nothing of it.
    """

    __slots__ = ("snapshot",)
    snapshot: Headers

    def __init__(self, fields: Headers) -> None:
        super().__init__(fields)
        self._publish()

    def _publish(self) -> None:
        snapshot = self.copy()
        fit_range(snapshot)
        snapshot.get("host")  # Builds the index, which every copy then has.
        self.snapshot = snapshot

    def add(self, name: str, value: FieldValue) -> None:
        """Add a field after all others, whether or not there are fields of this name."""
        super().add(name, value)
        self._publish()

    def update(self, changes: HeaderChanges) -> None:  # type: ignore[override] # as Headers.update
        """Let these fields take the place of all fields of the same names; None removes a field."""
        super().update(changes)
        self._publish()

    def __setitem__(self, name: str, value: FieldValue) -> None:
        super().__setitem__(name, value)
        self._publish()

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        self._publish()


class ClientHeaders:
    """The fields of a client: its own over the defaults. Pickled, they are its own alone."""

    _live: LiveHeaders | None = None

    def __init__(self, own: HeaderChanges | None = None) -> None:
        self._own: HeaderChanges | None = None
        if own is None:
            return
        # Copied, because a generator can be read only once, and because the caller may change a mapping later.
        copied: HeaderChanges = own
        if isinstance(own, Headers):
            copied = own.copy()
        elif isinstance(own, Mapping):
            copied = dict(own)
        elif isinstance(own, Iterable) and not isinstance(own, (str, bytes)):
            copied = list(own)
        merge(Headers(), copied)  # Raises `InvalidHeader` for fields that cannot be sent.
        self._own = copied

    @property
    def live(self) -> LiveHeaders:
        """All the fields, to be read and changed."""
        live = self._live
        if live is None:
            # `setdefault` is atomic, so two threads get the same headers.
            live = vars(self).setdefault("_live", LiveHeaders(merge(_defaults(), self._own)))
        return live

    def copy(self) -> Headers:
        """The fields for one request."""
        return self._snapshot().copy()

    def merged(self, own: HeaderChanges) -> Headers:
        """The fields for one request that has these of its own."""
        headers = merge(self._snapshot(), own)
        if headers.has("range") and "accept-encoding" not in names_of(own):
            fit_range(headers)
        return headers

    def _snapshot(self) -> Headers:
        live = self._live
        if live is not None:
            return live.snapshot
        return _default_snapshot() if self._own is None else self.live.snapshot

    def __contains__(self, name: str) -> bool:
        return name in merge(Headers(), self._changes())

    def _changes(self) -> HeaderChanges | None:
        """The differences from the defaults; None as a value removes a field."""
        live = self._live
        if live is None:
            return self._own
        defaults = _defaults()
        removed = [(name, None) for name in defaults if name not in live]
        default_fields = defaults.multi_items()
        return [*removed, *(field for field in live.multi_items() if field not in default_fields)]

    def __getstate__(self) -> dict[str, object]:
        # The process that unpickles this makes its own defaults: it may be able to decode other codings.
        return {"_own": self._changes()}

    def __repr__(self) -> str:
        return repr(merge(Headers(), self._changes()))


class ClientCookies:
    """The jar of a client, once it is needed. `kept` False: the client keeps no cookies."""

    jar: Cookies | None = None

    def __init__(
        self, cookies: CookieValues | Literal[False] | None = None, base: URL | None = None
    ) -> None:
        self.kept = cookies is not False
        if cookies is not None and cookies is not False:
            self.jar = as_jar(cookies, base)
        # The user made the jar, with a URL of its own. In other jars, values by name are for the client's base URL.
        self.is_given = self.jar is not None and self.jar is cookies

    def jar_for(self, base: URL | None) -> Cookies:
        """The jar, made if there is none yet. Raises `InvalidRequest` if the client keeps no cookies."""
        jar = self.jar
        if jar is None:
            if not self.kept:
                raise InvalidRequest("this client keeps no cookies: it was made with cookies=False")
            from adieu.messages.cookies.jar import Cookies

            # `setdefault` is atomic, so two threads get the same jar.
            jar = vars(self).setdefault("jar", Cookies(url=base))
        return jar

    def move(self, base: URL | None) -> None:
        """The client has another base URL. What is in the jar stays as it is."""
        if self.jar is not None and not self.is_given:
            self.jar.url = base

    def learn(self, url: URL, headers: Headers, base: URL | None) -> None:
        """Store the cookies that a response sets."""
        if self.kept:
            self.jar_for(base).store(url, headers.get_list("set-cookie"))
