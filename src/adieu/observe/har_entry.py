"""One exchange as an entry of a HAR 1.2 file (http://www.softwareishard.com/blog/har-12-spec/): pure.

Invariants. Times are milliseconds, -1 where the format wants that for what does not apply, or is not known. `time` is
the sum of the timings, without `ssl`, which is a part of `connect`. Texts come from events, their secrets masked.
"""

from __future__ import annotations

from datetime import datetime, timezone
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from adieu.observe.build import opening_phases, phases_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from adieu.observe.facts import ConnectionFacts, ExchangeFacts

__all__ = ["entry_of"]


def entry_of(
    exchange: ExchangeFacts, connection: ConnectionFacts | None, *, epoch: float, until: float
) -> dict[str, object]:
    """The entry. `epoch`: the time of day when the clock of the events was 0. `until`: the end of what goes on."""
    timings = _timings(exchange, connection, until)
    total = sum(each for name, each in timings.items() if name != "ssl" and each > 0)
    entry: dict[str, object] = {
        "startedDateTime": datetime.fromtimestamp(epoch + exchange.began, timezone.utc).isoformat(
            timespec="milliseconds"
        ),
        "time": round(total, 3),
        "request": _request(exchange),
        "response": _response(exchange),
        "cache": {},
        "timings": timings,
    }
    if connection is not None:
        entry["connection"] = str(connection.number)
        address = _address(connection)
        if address is not None:
            entry["serverIPAddress"] = address
    comments = [*_comments(exchange)]
    if comments:
        entry["comment"] = "; ".join(comments)
    return entry


def _timings(
    exchange: ExchangeFacts, connection: ConnectionFacts | None, until: float
) -> dict[str, float]:
    phases = [(name, begin, end) for name, begin, end in phases_of(exchange, connection)]
    opened: dict[str, float] = {}
    if connection is not None and not exchange.reused and exchange.leased is not None:
        opened = _sums(opening_phases(connection), until)
    seconds = _sums(phases, until)
    # What is left of the time before the request was sent: the wait for a connection, and adieu's own work.
    first = next((begin for name, begin, _ in phases if name != "wait"), exchange.ended or until)
    blocked = max(first - exchange.began - sum(opened.values()), 0.0)
    connects = [opened[name] for name in ("tcp", "proxy", "tls") if name in opened]
    return {
        "blocked": _ms(blocked),
        "dns": _ms(opened["dns"]) if "dns" in opened else -1,
        "connect": _ms(sum(connects)) if connects else -1,
        "ssl": _ms(opened["tls"]) if "tls" in opened else -1,
        "send": _ms(seconds.get("send", 0.0)),
        "wait": _ms(seconds.get("answer", 0.0)),
        "receive": _ms(seconds.get("body", 0.0)),
    }


def _sums(phases: Iterable[tuple[str, float, float | None]], until: float) -> dict[str, float]:
    sums: dict[str, float] = {}
    for name, begin, end in phases:
        sums[name] = sums.get(name, 0.0) + max((until if end is None else end) - begin, 0.0)
    return sums


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _request(exchange: ExchangeFacts) -> dict[str, object]:
    started, sent = exchange.started, exchange.sent
    headers = started.headers if started else ()
    length = sent.body if sent else started.body if started else None
    request: dict[str, object] = {
        "method": exchange.method,
        "url": exchange.url,
        "httpVersion": exchange.answered.http_version if exchange.answered else "HTTP/1.1",
        "cookies": [],
        "headers": _named(headers),
        "queryString": _named(
            parse_qsl(exchange.url.partition("?")[2], keep_blank_values=True, errors="replace")
        ),
        "headersSize": sent.head if sent else -1,
        "bodySize": -1 if length is None else length,
    }
    if length:
        request["postData"] = {"mimeType": _field(headers, "content-type"), "text": ""}
    return request


def _response(exchange: ExchangeFacts) -> dict[str, object]:
    answered, body = exchange.answered, exchange.body_ended
    headers = answered.headers if answered else ()
    raw = body.raw if body else None
    size = exchange.decoded if exchange.decoded is not None else raw
    content: dict[str, object] = {
        "size": size or 0,
        "mimeType": _field(headers, "content-type") or "x-unknown",
    }
    if exchange.decoded is not None and raw is not None and exchange.decoded != raw:
        content["compression"] = exchange.decoded - raw
    response: dict[str, object] = {
        "status": answered.status if answered else 0,
        "statusText": answered.reason if answered else "",
        "httpVersion": answered.http_version if answered else "",
        "cookies": [],
        "headers": _named(headers),
        "content": content,
        "redirectURL": _field(headers, "location"),
        "headersSize": -1,
        "bodySize": -1 if raw is None else raw,
    }
    if exchange.error is not None:
        response["_error"] = exchange.error
    return response


def _comments(exchange: ExchangeFacts) -> Iterable[str]:
    if exchange.cached is not None:
        yield f"cache: {exchange.cached.outcome}, {exchange.cached.why}"
    if exchange.leaked is not None:
        yield f"leaked: dropped unread, opened at {exchange.leaked.opened_at or 'an unknown line'}"
    elif exchange.ended is None:
        yield "still open"


def _named(pairs: Iterable[tuple[str, str]]) -> list[Mapping[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]


def _field(headers: Iterable[tuple[str, str]], wanted: str) -> str:
    return next((value for name, value in headers if name.lower() == wanted), "")


def _address(connection: ConnectionFacts) -> str | None:
    """The address of the peer without its port; None: it is not one of IP, or not known."""
    peer = connection.connected.peer if connection.connected else ""
    host = peer.rpartition(":")[0].strip("[]").partition("%")[0]
    try:
        return str(ip_address(host))
    except ValueError:
        return None
