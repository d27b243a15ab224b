"""`Content-Disposition`: the name that a server gives a file, made safe to write (RFC 6266).

Invariants: nothing raises. The result is one name within one folder on every system: without separators and control
characters, no device name of Windows, not hidden, not too long, and never the name of the part file of a download: a
server that could write one would choose the first bytes of another server's file.
"""

from __future__ import annotations

import re

from adieu.messages.fields.parameters import parameters

__all__ = ["file_name", "safe_name"]

_SEPARATORS = re.compile(r"[/\\]")
# Control characters, those that Windows forbids, those that change the direction of text and can hide an extension, and
# those that HFS+ leaves out when it compares names.
_UNSAFE = re.compile(
    r'[\x00-\x1f\x7f-\x9f<>:"|?*\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]'
)
_DEVICE = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9\xb9\xb2\xb3]|lpt[0-9\xb9\xb2\xb3]) *(?:\..*)?$",
    re.IGNORECASE,
)
# The endings of part files (see `adieu.client.part_file`), in lower case: some file systems do not tell the case apart.
_PART_FILES = (".part", ".part.json")
# Bytes. Most file systems allow 255; the name of a partial download beside the file is longer than its own.
_MAX_LENGTH = 200


def file_name(content_disposition: str | None) -> str | None:
    """The file name in this field, made safe; None if it has none. `filename*` goes before `filename`."""
    first = dict(reversed(parameters(content_disposition or "")))
    for name in ("filename*", "filename"):
        if (found := first.get(name)) and (safe := safe_name(found)):
            return safe
    return None


def safe_name(name: str) -> str | None:
    """The last part of a path as a safe name; None if nothing is left of it."""
    name = _UNSAFE.sub("_", _SEPARATORS.split(name)[-1]).strip(". ")
    if _DEVICE.match(name):
        name = f"_{name}"
    if len(name.encode()) > _MAX_LENGTH:
        stem, dot, extension = name.rpartition(".")
        if not stem or len(extension) > 20:
            stem, dot, extension = name, "", ""
        size = _MAX_LENGTH - len((dot + extension).encode())
        name = (stem.encode()[:size].decode(errors="ignore") + dot + extension).strip(". ")
    if name.casefold().endswith(_PART_FILES):
        name += "_"
    return name or None
