"""cookies.txt: the file format of Netscape's browser, which curl, wget and yt-dlp read and write.

Each line has seven fields, separated by tabs: domain (with a dot before it if the cookie is for the hosts below, too),
the same as TRUE or FALSE, path, secure, expires (0 for a session cookie), name, value. A line that begins with
`#HttpOnly_` is not a comment. Text is Latin-1, so that its bytes are those on the wire.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from adieu.errors import InvalidRequest
from adieu.messages.cookies.cookie import Cookie, checked

if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["load", "save"]

_HEAD = (
    "# Netscape HTTP Cookie File\n# Written by adieu. These are credentials: keep them secret.\n\n"
)
_HTTP_ONLY = "#HttpOnly_"
_FLAGS = {"TRUE": True, "FALSE": False}


def save(path: str | os.PathLike[str], cookies: Iterable[Cookie]) -> None:
    """Write a cookies.txt, completely or not at all."""
    import tempfile

    # If the path is a link, the file that it points to is replaced.
    target = os.path.realpath(os.fspath(path))
    # In the same folder, because a rename within a folder is atomic. mkstemp() lets only the owner read the file.
    descriptor, temporary = tempfile.mkstemp(prefix=".cookies-", dir=os.path.dirname(target))
    try:
        with open(descriptor, "w", encoding="latin-1", newline="\n") as file:
            file.write(_HEAD)
            file.writelines(map(_line, cookies))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def load(path: str | os.PathLike[str]) -> list[Cookie]:
    """The cookies of a cookies.txt. Raises `InvalidRequest` for a line that is no cookie."""
    with open(path, encoding="latin-1", newline="\n") as file:
        return list(_read(file, os.fspath(path)))


def _read(file: TextIO, name: str) -> Iterable[Cookie]:
    for number, line in enumerate(file, 1):
        text = line.rstrip("\r\n")
        http_only = text.startswith(_HTTP_ONLY)
        if http_only:
            text = text[len(_HTTP_ONLY) :]
        elif text[:1] == "#" or not text.strip():
            continue
        cookie = _cookie(text.split("\t", 6), http_only)
        if cookie is None:
            raise InvalidRequest(
                f"line {number} of {name} is no line of a cookies.txt, which has domain, TRUE or FALSE, path, "
                "TRUE or FALSE, seconds since 1970, name and value, separated by tabs"
            )
        try:
            yield checked(cookie)
        except InvalidRequest as error:
            raise InvalidRequest(f"line {number} of {name}: {error}") from None


def _cookie(fields: list[str], http_only: bool) -> Cookie | None:
    if len(fields) == 6:
        fields.append("")  # Some writers leave the last tab out when the value is empty.
    if len(fields) != 7:
        return None
    domain, below, path, secure, seconds, name, value = fields
    host = domain.removeprefix(".").lower()
    if not host or below not in _FLAGS or secure not in _FLAGS:
        return None
    try:
        expires = float(seconds)  # Some write fractions.
    except ValueError:
        return None
    return Cookie(
        name, value, host, path, expires or None, _FLAGS[secure], http_only, not _FLAGS[below]
    )


def _line(cookie: Cookie) -> str:
    fields = (
        f"{_HTTP_ONLY if cookie.http_only else ''}{'' if cookie.host_only else '.'}{cookie.domain}",
        "FALSE" if cookie.host_only else "TRUE",
        cookie.path,
        "TRUE" if cookie.secure else "FALSE",
        # Rounded up: 0 would make a session cookie of one that expires within a second.
        str(0 if cookie.expires is None else int(cookie.expires) + 1),
        cookie.name,
        cookie.value,
    )
    return "\t".join(fields) + "\n"
