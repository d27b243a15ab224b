"""HTTP-dates, strictly: the three forms of RFC 9110, section 5.6.7, and nothing like them.

A cache that takes a doubtful date for one may call a response fresh that is not. So a date that is none is None, and
the rules say what that means (RFC 9111, section 5.3: an invalid `Expires` is in the past).
"""

from __future__ import annotations

import re
from calendar import timegm

__all__ = ["parse_http_date"]

_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_MONTH = "|".join(_MONTHS)
_TIME = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_SHORT_DAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_LONG_DAY = r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
_FORMS = tuple(
    re.compile(form, re.ASCII).fullmatch
    for form in (
        rf"{_SHORT_DAY}, (?P<day>\d\d) (?P<month>{_MONTH}) (?P<year>\d{{4}}) {_TIME} GMT",
        rf"{_LONG_DAY}, (?P<day>\d\d)-(?P<month>{_MONTH})-(?P<year>\d\d) {_TIME} GMT",
        rf"{_SHORT_DAY} (?P<month>{_MONTH}) (?P<day>\d\d| \d) {_TIME} (?P<year>\d{{4}})",
    )
)
_SECONDS_OF_50_YEARS = 50 * 365.25 * 86_400


def parse_http_date(text: str | None, now: float) -> float | None:
    """The seconds since the epoch; None if the text is no HTTP-date, or there is none.

    `now` decides the century of a year with two digits: no date is taken to be more than 50 years in the future.

    >>> parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT", 0)
    784111777.0
    """
    if text is None:
        return None
    for form in _FORMS:
        if (found := form(text.strip(" \t"))) is not None:
            return _seconds(found, now)
    return None


def _seconds(found: re.Match[str], now: float) -> float | None:
    year, day = int(found["year"]), int(found["day"])
    hour, minute, second = int(found["hour"]), int(found["minute"]), int(found["second"])
    month = _MONTHS.index(found["month"]) + 1
    if not (1 <= day <= 31 and hour < 24 and minute < 60 and second <= 60):
        return None
    if len(found["year"]) == 4:
        return float(timegm((year, month, day, hour, minute, second)))
    seconds = float(timegm((2000 + year, month, day, hour, minute, second)))
    if seconds > now + _SECONDS_OF_50_YEARS:
        seconds = float(timegm((1900 + year, month, day, hour, minute, second)))
    return seconds
