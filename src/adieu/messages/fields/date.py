"""Dates in header fields: the algorithm of cookies (RFC 6265bis, section 5.1.1), which reads every HTTP-date too.

It asks for a time, a day, a month and a year in any order, and for nothing else, so that the three forms of RFC 9110,
section 5.6.7, and what servers write instead of them, come out alike.
"""

from __future__ import annotations

import re

__all__ = ["parse_date"]

# What stands between tokens: everything printable that is no digit, no letter and no colon.
_TOKENS = re.compile(r"[^\t\x20-\x2f\x3b-\x40\x5b-\x60\x7b-\x7e]+").findall
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?![0-9])").match
_DAY = re.compile(r"([0-9]{1,2})(?![0-9])").match
_YEAR = re.compile(r"([0-9]{2,4})(?![0-9])").match
_MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1
    )
}
_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
# The longest form that is known has 40 characters; this leaves room for odd ones, and bounds the work.
_LONGEST = 256


def parse_date(text: str) -> float | None:
    """The seconds since the epoch that a date in UTC means; None if it is none.

    >>> parse_date("Sun, 06 Nov 1994 08:49:37 GMT")
    784111777.0
    """
    time: re.Match[str] | None = None
    day = month = year = None
    for token in _TOKENS(text[:_LONGEST]):
        # The order of the questions decides: "10" is a day before it is a year.
        if time is None and (found := _TIME(token)):
            time = found
        elif day is None and (found := _DAY(token)):
            day = int(found[1])
        elif month is None and token[:3].lower() in _MONTHS:
            month = _MONTHS[token[:3].lower()]
        elif year is None and (found := _YEAR(token)):
            year = int(found[1])
    if time is None or day is None or month is None or year is None:
        return None
    if year < 100:
        year += 1900 if year >= 70 else 2000
    hour, minute, second = int(time[1]), int(time[2]), int(time[3])
    if year < 1601 or hour > 23 or minute > 59 or second > 59:
        return None
    if not 1 <= day <= _DAYS[month - 1] + (month == 2 and _leaps(year)):
        return None
    return float(((_since_epoch(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)


def _leaps(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _since_epoch(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01. Years begin in March here, so that the odd day comes last."""
    year -= month <= 2
    in_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return 365 * year + year // 4 - year // 100 + year // 400 + in_year - 719468
