"""The exit statuses of `adieu URL`: for scripts, so they stay as they are. `adieu --help` shows this table."""

from __future__ import annotations

from typing import Final

from adieu.errors import (
    AdieuError,
    ConnectError,
    DeadlineExceeded,
    InvalidRequest,
    RequestTimeout,
    TLSError,
    TooManyRedirects,
)

__all__ = ["EXIT_STATUSES", "of_answer", "of_error"]

EXIT_STATUSES: Final = {
    0: "there is an answer",
    1: "the exchange failed in another way than those below",
    2: "wrong usage",
    3: "--fail: the answer is a redirect that was not followed",
    4: "--fail: the status is 4xx",
    5: "--fail: the status is 5xx",
    6: "no connection: name resolution, connecting, proxy or TLS failed",
    7: "a time limit was reached",
    8: "too many redirects",
    130: "interrupted",
}


def of_answer(status_code: int) -> int:
    """With `--fail`, for an answer."""
    return status_code // 100 if status_code >= 300 else 0


def of_error(error: AdieuError) -> int:
    """For a call that raised."""
    if isinstance(error, (RequestTimeout, DeadlineExceeded)):
        return 7
    if isinstance(error, (ConnectError, TLSError)):
        return 6
    if isinstance(error, TooManyRedirects):
        return 8
    return 2 if isinstance(error, InvalidRequest) else 1
