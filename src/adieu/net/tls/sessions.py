"""TLS sessions: what a connection leaves, so that the next one to the same peer need not do a full handshake.

In a resumed handshake (RFC 8446, section 2.2; RFC 5077 for TLS 1.2) the peer proves that it knows the secret of an
earlier connection. Its certificate is not sent again: what was checked then holds, and no new check takes place.

Invariants:

- A session is offered only to the peer that gave it, and only by a connection with equal settings: the same TLS
  settings, server name, proxy and way of connecting (`ConnectScope.peer`). It belongs to one context (`ssl` refuses it
  on any other), which holds the client certificate and the authorities; it is kept with that context, and dies with it.
- A session serves one connection at a time, and in TLS 1.3 one in all, so that an observer cannot tell that two
  connections are the same client's (RFC 8446, appendix C.4).
- However often it is renewed, a session ends an hour after the handshake in which the certificate was checked
  (RFC 8446, section 4.6.1). Of each peer a few are kept, and of a few peers.
- Pinned fingerprints are compared on each connection: a session has the peer's certificate in it.
- A forked child uses no session of its parent.
"""

from __future__ import annotations

from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from adieu.lifecycle.fork import call_after_fork
from adieu.lifecycle.lock import locked, new_lock

if TYPE_CHECKING:
    import ssl
    from collections.abc import Hashable

    from adieu.lifecycle.deadline import Clock
    from adieu.net.tls.config import TLSConfig

__all__ = ["Resumption", "Sessions", "resume"]

_LIFETIME = 3600.0
_MOST_PEERS = 64
# Of one peer: as many as connections are usually opened to it at once.
_MOST_OF_ONE = 8


class _Kept(NamedTuple):
    session: ssl.SSLSession
    checked_at: float


class Sessions:
    """The sessions of one context, by peer and settings; those of the peer that was used last come last."""

    def __init__(self, clock: Clock = monotonic) -> None:
        self._clock = clock
        self._kept: dict[Hashable, deque[_Kept]] = {}
        call_after_fork(self, Sessions.clear)

    @staticmethod
    def of(context: ssl.SSLContext) -> Sessions:
        """Those that are kept with a context: in its attributes, because a session refers to its context."""
        attributes = vars(context)
        sessions: Sessions | None = attributes.get("_adieu_sessions")
        return (
            attributes.setdefault("_adieu_sessions", Sessions()) if sessions is None else sessions
        )

    def take(self, key: Hashable) -> _Kept | None:
        """The newest session for this key, which is not kept any more; None: there is none."""
        return locked(_lock, self._take, key) if key in self._kept else None

    def keep(self, key: Hashable, session: ssl.SSLSession, checked_at: float | None) -> None:
        """Keep a session. `checked_at`: when the peer's certificate was checked; None: just now."""
        when = self._clock() if checked_at is None else checked_at
        locked(_lock, self._keep, key, _Kept(session, when))

    def drop(self, key: Hashable) -> None:
        """Forget the sessions for this key."""
        self._kept.pop(key, None)

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()

    def __len__(self) -> int:
        return sum(map(len, list(self._kept.values())))

    def _take(self, key: Hashable) -> _Kept | None:
        queue = self._kept.get(key)
        oldest = self._clock() - _LIFETIME
        while queue:
            kept = queue.pop()
            if kept.checked_at > oldest:
                return kept
        self._kept.pop(key, None)
        return None

    def _keep(self, key: Hashable, kept: _Kept) -> None:
        queue = self._kept.pop(key, None) or deque(maxlen=_MOST_OF_ONE)
        queue.append(kept)
        while len(self._kept) >= _MOST_PEERS:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = queue


class Resumption:
    """What one connection does with sessions: it offers one, and leaves one. See `resume`."""

    __slots__ = ("_key", "_offered", "_sessions")

    def __init__(self, sessions: Sessions, key: Hashable) -> None:
        self._sessions = sessions
        self._key = key
        self._offered = sessions.take(key)

    @property
    def offered(self) -> ssl.SSLSession | None:
        """The session to resume, if the peer agrees."""
        return self._offered.session if self._offered is not None else None

    def failed(self) -> None:
        """The handshake failed, perhaps because the peer cannot resume: it is not asked to again."""
        if self._offered is not None:
            self._sessions.drop(self._key)

    def keep(self, sock: ssl.SSLSocket | ssl.SSLObject) -> None:
        """After the peer's first bytes, which come with its tickets in TLS 1.3: keep what can be resumed."""
        session, offered = sock.session, self._offered
        if session is None or not session.id:
            return  # The peer has sent no ticket.
        checked_at = None
        if offered is not None and sock.session_reused:
            if session.id == offered.session.id and sock.version() == "TLSv1.3":
                return  # Used up, and there is no other.
            checked_at = offered.checked_at
        self._sessions.keep(self._key, session, checked_at)


def resume(
    sock: ssl.SSLSocket | ssl.SSLObject,
    context: ssl.SSLContext,
    config: TLSConfig,
    name: str,
    peer: Hashable,
) -> Resumption | None:
    """Have the handshake, which comes next, resume a session if there is one. None: no session is to be kept either.

    `name` is the server name that is sent and checked, `peer` what `ConnectScope.peer` says.
    """
    if peer is None or not config.resume_sessions:
        return None
    if type(context).__module__ != "ssl":
        # truststore has the operating system check the certificates of each connection, with the intermediate ones,
        # which a session has not; pyOpenSSL has sessions of another kind.
        return None
    # A context of the user's own may be changed between two connections.
    checks = (context.verify_mode, context.check_hostname, context.verify_flags)
    resumption = Resumption(Sessions.of(context), (peer, config, name, checks))
    if resumption.offered is not None:
        sock.session = resumption.offered
    return resumption


_lock = new_lock()
