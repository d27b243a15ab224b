"""The file of a `Recorder`: JSON lines, one exchange a line, to be read and compared by people.

The first line names the format. Text is written as text; bytes that are none are base64. `Recorded` is one exchange, as
it is in the file: with its secrets scrubbed.
"""

from __future__ import annotations

import base64
import json
import os
from typing import TYPE_CHECKING, Any

from adieu import errors
from adieu.errors import AdieuError, InvalidRequest, TransportError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from adieu.testing.scrub import Fields

__all__ = ["Recorded", "error_of", "facts_of", "load", "save"]

_HEADER = {"adieu": "recording", "version": 1}
_PLAIN = (str, int, float, bool, type(None))


class Recorded:
    """One exchange.

    `status` 0: there was no response, but an `error`. With a response, `error` is what broke its body off. `pieces` are
    the lengths of the pieces in which the body came. `is_whole`: the body was read to its end.
    """

    __slots__ = (
        "body", "content", "error", "fields", "headers", "is_whole", "method", "pieces", "played", "reason", "status",
        "url", "version",
    )  # fmt: skip

    def __init__(self, method: str, url: str, fields: Fields, content: bytes) -> None:
        self.method = method
        self.url = url
        self.fields = fields
        self.content = content
        self.status = 0
        self.reason = ""
        self.version = "HTTP/1.1"
        self.headers: Fields = []
        self.body = b""
        self.pieces: list[int] = []
        self.is_whole = False
        self.error: dict[str, Any] | None = None
        # It was replayed, or recorded in this run.
        self.played = False

    def replace_body(self, body: bytes) -> None:
        """Keep this instead of the body; masks have other lengths than secrets."""
        if body == self.body:
            return
        self.body, self.pieces = body, [len(body)]
        self.headers = [
            (name, str(len(body)) if name.lower() == "content-length" else value)
            for name, value in self.headers
        ]

    def mask(self, masked: Callable[[str], str]) -> None:
        """Keep what this function makes of each text, where it makes something else of it."""
        self.url = masked(self.url)
        self.fields = [(name, masked(value)) for name, value in self.fields]
        self.headers = [(name, masked(value)) for name, value in self.headers]
        self.content = _masked(self.content, masked)
        self.replace_body(_masked(self.body, masked))
        if self.error is not None:
            self.error = {k: masked(v) if isinstance(v, str) else v for k, v in self.error.items()}

    def as_json(self) -> dict[str, Any]:
        """The object of its line."""
        request: dict[str, object] = {
            "method": self.method,
            "url": self.url,
            "headers": self.fields,
        }
        if self.content:
            request["body"] = _written(self.content)
        line: dict[str, Any] = {"request": request}
        if self.status:
            response = {"status": self.status, "reason": self.reason, "headers": self.headers}
            response["body"] = _written(self.body)
            if self.version != "HTTP/1.1":
                response["version"] = self.version
            if len(self.pieces) > 1:
                response["pieces"] = self.pieces
            if not self.is_whole and self.error is None:
                response["left"] = True
            line["response"] = response
        if self.error is not None:
            line["error"] = self.error
        return line

    @classmethod
    def of_json(cls, line: dict[str, Any]) -> Recorded:
        """The exchange of a line. Raises `KeyError`, `TypeError` or `ValueError` for what is none."""
        request, response = line["request"], line.get("response")
        made = cls(
            request["method"],
            request["url"],
            _pairs(request["headers"]),
            _read(request.get("body", "")),
        )
        made.error = line.get("error")
        if response is not None:
            made.status, made.reason = int(response["status"]), str(response["reason"])
            made.version = response.get("version", "HTTP/1.1")
            made.headers = _pairs(response["headers"])
            made.body = _read(response["body"])
            made.pieces = response.get("pieces") or [len(made.body)]
            made.is_whole = made.error is None and not response.get("left", False)
        elif made.error is None:
            raise KeyError("response")
        return made


def _masked(content: bytes, masked: Callable[[str], str]) -> bytes:
    try:
        return masked(content.decode()).encode()
    except UnicodeDecodeError:
        return content


def _pairs(fields: Sequence[Sequence[str]]) -> Fields:
    return [(str(name), str(value)) for name, value in fields]


def _written(content: bytes) -> object:
    """Text if it is text, without control characters that no editor shows."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = "\0"
    if any(char < " " and char not in "\t\r\n" for char in text):
        return {"base64": base64.b64encode(content).decode("ascii")}
    return text


def _read(written: Any) -> bytes:
    if isinstance(written, str):
        return written.encode()
    return base64.b64decode(written["base64"], validate=True)


def facts_of(error: TransportError) -> dict[str, Any]:
    """An error as it is in a file: its class, its text, and its facts that JSON has."""
    facts = {name: value for name, value in vars(error).items() if isinstance(value, _PLAIN)}
    for name in ("method", "url", "elapsed"):
        facts.pop(name, None)
    message = str(error.args[0]) if error.args else ""
    return {"class": type(error).__name__, "message": message, **facts}


def error_of(facts: dict[str, Any]) -> AdieuError:
    """The error in a file, made anew."""
    kind = getattr(errors, facts["class"], TransportError)
    error: AdieuError = kind(facts["message"])
    vars(error).update({k: v for k, v in facts.items() if k not in {"class", "message"}})
    return error


def load(path: Path) -> list[Recorded]:
    """The exchanges of a file. Raises `InvalidRequest` with the line that is not understood."""
    recorded = []
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            line = json.loads(text)
            if number == 1:
                if line != _HEADER:
                    raise ValueError(f"it does not begin with {json.dumps(_HEADER)}")
            else:
                recorded.append(Recorded.of_json(line))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            why = f"{type(error).__name__}: {error}"
            raise InvalidRequest(
                f"{path}, line {number}, is no exchange of a recording: {why}"
            ) from error
    return recorded


def save(path: Path, recorded: Sequence[Recorded]) -> None:
    """Write the file, whole or not at all."""
    lines = [_HEADER, *(each.as_json() for each in recorded)]
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_text(
        "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines), encoding="utf-8"
    )
    os.replace(part, path)
