"""Digest authentication (RFC 7616) of a client towards its servers: the flow around `adieu.messages.fields.digest`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from adieu.errors import ContentError, InvalidRequest
from adieu.flow.auth import Auth, raw_bytes
from adieu.messages.fields.challenge import Challenge, parse_challenges, parse_parameters
from adieu.messages.fields.digest import DigestSession
from adieu.texts import show_url

if TYPE_CHECKING:
    from adieu.flow.auth import AuthFlow
    from adieu.messages.request import Request
    from adieu.messages.response import ResponseHead
    from adieu.messages.url import Origin

__all__ = ["DigestAuth"]

# Bounds the memory of an object that many clients share. A forgotten origin costs one more 401.
_MOST_ORIGINS = 100


class DigestAuth(Auth):
    """User name and password, of which the password is never sent (RFC 7616).

    MD5, SHA-256, SHA-512-256, SHA and SHA-512, also as -sess, with qop auth or auth-int or without: the first supported
    challenge is answered, also as devices write it (`qop=""`, values without their quotes). It is remembered for its
    origin, so later requests need no 401. Threads and tasks may share the object. After a 401 the content is sent
    again: if it was an iterator, that is a `ContentError`.
    """

    __slots__ = ("_sessions", "password", "username")

    def __init__(self, username: str, password: str) -> None:
        for text, what in ((username, "user name"), (password, "password")):
            if not isinstance(text, str):
                raise InvalidRequest(
                    f"the {what} for Digest must be str, not {type(text).__name__}"
                )
            raw_bytes(text, what)
        self.username = username
        self.password = password
        self._sessions: OrderedDict[Origin, DigestSession] = OrderedDict()

    def flow(self, request: Request) -> AuthFlow:
        """Answer a challenge, and a second one if only the nonce was too old (RFC 7616, section 3.3)."""
        origin = request.url.origin
        session = self._sessions.get(origin)
        if session is None:
            session = DigestSession(self.username, self.password)
        _authorize(request, session)
        response: ResponseHead = yield request
        for answered in (False, True):
            if response.status_code != 401:
                break
            fields = response.headers.get_list("www-authenticate")
            challenge = session.challenged(parse_challenges(fields))
            if challenge is None or (answered and not _is_stale(challenge)):
                # Forget the session: if later calls sent a wrong password unasked, the server might lock the account.
                self._sessions.pop(origin, None)
                return
            _authorize(request, session)
            response = yield request
        if session.begun:
            if (info := response.headers.get("authentication-info")) is not None:
                session.informed(parse_parameters(info))
            self._remember(origin, session)

    def _remember(self, origin: Origin, session: DigestSession) -> None:
        sessions = self._sessions
        sessions[origin] = session
        if len(sessions) > _MOST_ORIGINS:
            sessions.popitem(last=False)

    def __reduce__(self) -> tuple[type[DigestAuth], tuple[str, str]]:
        return DigestAuth, (self.username, self.password)

    def __repr__(self) -> str:
        return f"DigestAuth({self.username!r}, '***')"


def _authorize(request: Request, session: DigestSession) -> None:
    def content() -> Iterable[bytes]:
        if not request.content.replayable or request.content.is_async:
            raise ContentError(
                f"{show_url(request.url)} wants the content of {request.method} protected by Digest (auth-int), "
                "so it must be read before it is sent, but it can be read only once: pass bytes, a file or a list"
            )
        return request.content.chunks()

    credentials = session.credentials(request.method, request.url.target, content)
    if credentials is not None:
        request.headers["Authorization"] = credentials


def _is_stale(challenge: Challenge) -> bool:
    return challenge.parameters.get("stale", "").lower() == "true"
