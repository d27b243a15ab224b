"""Which outcomes are retried, after which wait, within which budget: the decisions alone, without connections."""

from __future__ import annotations

import pickle
import ssl
import threading
from socket import EAI_AGAIN, EAI_NONAME, gaierror
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import adieu
from adieu import Request, Response, Retry, RetryBudget
from adieu.flow.retries import Attempts
from adieu.lifecycle.lock import is_owned
from adieu.lifecycle.reporting import Report
from support.locks import InterruptedLock

if TYPE_CHECKING:
    from adieu.events import Retrying

NOW = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT
KEY = {"Idempotency-Key": "7f3a"}


class Clock:
    """A clock that stands still."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def a_request(method: str = "GET", **options: Any) -> Request:
    return Request(method, "https://example.org/items", **options)


def caused_by(error: adieu.TransportError, cause: BaseException) -> adieu.TransportError:
    error.__cause__ = cause
    return error


def attempts(retry: Retry, request: Request | None = None, **options: Any) -> Attempts:
    deadline = adieu.Deadline(options.pop("timeout", adieu.Timeout()), Clock())
    options.setdefault("chance", lambda: 0.5)
    events = options.pop("events", None)
    return Attempts(retry, request or a_request(), deadline, events, wall=lambda: NOW, **options)


# Outcomes


@pytest.mark.parametrize("status", [408, 425, 429, 502, 503, 504])
def test_statuses_of_temporary_states_are_retried(status: int) -> None:
    assert attempts(Retry()).after(Response(status)) is not None


@pytest.mark.parametrize("status", [200, 204, 301, 304, 400, 401, 404, 409, 500, 501])
def test_other_statuses_are_returned(status: int) -> None:
    assert attempts(Retry()).after(Response(status)) is None
    assert attempts(Retry(statuses={status})).after(Response(status)) is not None


Outcome = adieu.TransportError | Response
BROKEN: list[Outcome] = [
    adieu.ReadError("x", request_sent="wholly"),
    adieu.WriteError("x", request_sent="partly"),
    adieu.PeerClosed("x", request_sent="wholly"),
    adieu.ReadTimeout("x", request_sent="wholly"),
    adieu.WriteTimeout("x", request_sent="partly"),
]
UNSENT: list[Outcome] = [
    adieu.ConnectError("x"),
    adieu.ConnectTimeout("x"),
    adieu.DNSError("x"),
    caused_by(adieu.DNSError("x"), gaierror(EAI_AGAIN, "Temporary failure in name resolution")),
    caused_by(adieu.TLSError("x"), ConnectionResetError()),
    caused_by(adieu.TLSError("x"), ssl.SSLEOFError()),
    adieu.ProxyError("x"),
    adieu.ProxyError("x", status=503),
]
FINAL: list[adieu.TransportError] = [
    adieu.ProtocolError("x", request_sent="wholly"),
    adieu.BodyTruncated("x", request_sent="wholly"),
    adieu.DeadlineExceeded("x"),
    adieu.PoolTimeout("x"),
    # An error of an adapter that does not say how much was sent.
    adieu.TransportError("x"),
    adieu.TLSError("a pin does not match"),
    adieu.GuardError("x"),
    adieu.ProxyError("x", status=407),
    adieu.ProxyError("x", status=403),
    caused_by(adieu.TLSError("x"), ssl.SSLCertVerificationError()),
    caused_by(adieu.DNSError("x"), gaierror(EAI_NONAME, "Name or service not known")),
]


def error_id(error: adieu.TransportError) -> str:
    status = getattr(error, "status", None)
    return f"{type(error).__name__}-{status}-{type(error.__cause__).__name__}-{error.__cause__}"


@pytest.mark.parametrize("method", sorted(Retry.IDEMPOTENT))
def test_idempotent_requests_are_sent_again_whatever_broke(method: str) -> None:
    for error in BROKEN + UNSENT:
        assert attempts(Retry(), a_request(method)).after(error) is not None, error


@pytest.mark.parametrize("method", ["POST", "PATCH", "LOCK"])
def test_other_requests_that_may_have_reached_the_server_are_not_sent_twice(method: str) -> None:
    for outcome in [*BROKEN, Response(503), Response(503, {"retry-after": "1"}), Response(429)]:
        assert attempts(Retry(), a_request(method)).after(outcome) is None, outcome


@pytest.mark.parametrize("method", ["POST", "PATCH", "LOCK"])
def test_a_request_without_a_connection_is_sent_again_with_any_method(method: str) -> None:
    for error in UNSENT:
        assert attempts(Retry(), a_request(method)).after(error) is not None, error


def test_a_connect_error_after_a_part_was_sent_is_not_retried() -> None:
    error = adieu.ConnectError("x", request_sent="partly")
    assert attempts(Retry(), a_request("POST")).after(error) is None


def test_an_idempotency_key_or_the_setting_allows_to_send_a_post_twice() -> None:
    for outcome in (*BROKEN, Response(503)):
        assert attempts(Retry(), a_request("POST", headers=KEY)).after(outcome) is not None
        with_post = Retry(methods=Retry.IDEMPOTENT | {"post"})
        assert attempts(with_post, a_request("POST")).after(outcome) is not None
        assert attempts(Retry(methods={"GET"}), a_request("PUT")).after(outcome) is None


@pytest.mark.parametrize("error", FINAL, ids=error_id)
def test_a_permanent_error_is_not_retried(error: adieu.TransportError) -> None:
    assert attempts(Retry(), a_request("GET", headers=KEY)).after(error) is None


def test_content_that_can_be_read_once_is_sent_once() -> None:
    for outcome in (Response(503), adieu.ConnectError("x"), BROKEN[0]):
        for content, times in ((iter([b"x"]), 1), ([b"x"], 2)):
            request = a_request("PUT", content=content)
            assert attempts(Retry(), request).after(outcome) is not None  # It was not read yet.
            assert b"".join(request.content.chunks()) == b"x"
            assert (attempts(Retry(), request).after(outcome) is None) == (times == 1)


# Waits and limits


def test_the_limit_counts_the_retries_after_the_first_attempt() -> None:
    for limit in (1, 2, 5):
        mine = attempts(Retry(limit))
        waits = [mine.after(Response(503)) for _ in range(limit + 2)]
        assert [wait is None for wait in waits] == [False] * limit + [True, True]


def test_waits_are_random_below_a_bound_that_doubles_up_to_the_longest() -> None:
    retry = Retry(8, backoff=1, longest=20)
    for chance in (0.0, 0.5, 1.0):
        mine = attempts(retry, chance=lambda: chance)  # noqa: B023
        bounds = [1, 2, 4, 8, 16, 20, 20, 20]
        assert [mine.after(Response(503)) for _ in bounds] == [chance * b for b in bounds]


def test_a_million_retries_cause_no_overflow() -> None:
    assert Retry(backoff=1).wait(10**6, Response(503), lambda: 1.0, NOW) == 60


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("60", 60.0),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30.0),
        ("Tuesday, 14-Nov-23 22:13:50 GMT", 30.0),
        ("Tue Nov 14 22:13:50 2023", 30.0),
        ("Tue, 14 Nov 2023 22:13:00 GMT", 0.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        # More than `longest`: a retry before the time that the server asked for would fail.
        ("61", None),
        ("86400", None),
        ("9" * 5000, None),
        ("Wed, 15 Nov 2023 22:13:20 GMT", None),
        # Invalid values.
        ("", 0.0),
        ("soon", 0.0),
        ("-1", 0.0),
        ("1.5", 0.0),
        ("\xb2", 0.0),
        ("5, 6", 0.0),
    ],
)
def test_retry_after_is_waited_for_in_full_or_not_at_all(text: str, wait: float | None) -> None:
    response = Response(503)
    response.headers = adieu.Headers.from_wire([("Retry-After", text)])
    assert attempts(Retry(), chance=lambda: 0.0).after(response) == wait


def test_a_random_wait_is_added_to_retry_after() -> None:
    response = Response(429, {"retry-after": "5"})
    assert attempts(Retry(backoff=2), chance=lambda: 0.5).after(response) == 6.0


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_retry_after_gives_a_bounded_wait(text: str) -> None:
    response = Response(503)
    response.headers = adieu.Headers.from_wire([("Retry-After", text)])
    wait = attempts(Retry()).after(response)
    assert wait is None or 0 <= wait <= 61


def test_a_wait_that_would_reach_the_deadline_is_not_begun() -> None:
    timeout = adieu.Timeout(total=5)
    response = Response(503, {"retry-after": "5"})
    assert attempts(Retry(), timeout=timeout).after(response) is None
    assert attempts(Retry(), timeout=timeout).after(Response(503, {"retry-after": "4"})) == 4.1
    late = attempts(Retry(backoff=20), timeout=timeout)
    assert late.after(adieu.ConnectError("x")) is None


# The budget


def test_a_budget_bounds_the_retries_of_all_requests_and_successes_fill_it() -> None:
    budget = RetryBudget(3, refill=0.5)
    retry = Retry(2, budget=budget)
    one, two = attempts(retry), attempts(retry)
    assert one.after(Response(503)) is not None
    assert one.after(Response(503)) is not None
    assert two.after(Response(503)) is not None
    assert two.after(Response(503)) is None
    assert attempts(retry).after(adieu.ConnectError("x")) is None
    assert attempts(retry).after(Response(200)) is None
    assert attempts(retry).after(Response(500)) is None  # Not a success.
    assert budget.remaining == 0.5
    attempts(retry).after(Response(404))  # The server works, so it counts as a success.
    assert attempts(retry).after(Response(503)) is not None
    assert budget.remaining == 0


def test_without_a_retry_nothing_is_taken_from_the_budget() -> None:
    budget = RetryBudget(3)
    attempts(Retry(budget=budget), a_request("POST")).after(Response(503))
    attempts(Retry(budget=budget)).after(Response(503, {"retry-after": "99999"}))
    attempts(Retry(budget=budget)).after(FINAL[0])
    assert budget.remaining == 3


def test_a_budget_is_never_more_than_full() -> None:
    budget = RetryBudget(2, refill=1.5)
    for _ in range(5):
        budget.earn()
    assert budget.remaining == 2


def test_every_setting_has_a_budget_of_its_own_unless_it_is_given_one() -> None:
    assert Retry().budget is not Retry().budget
    assert Retry(budget=None).budget is None
    mine = attempts(Retry(1000, budget=None))
    assert all(mine.after(Response(503)) is not None for _ in range(1000))


def test_an_interrupt_does_not_leave_the_budget_locked() -> None:
    budget = RetryBudget(5)
    broken: Any = InterruptedLock()
    budget._lock = broken
    with pytest.raises(KeyboardInterrupt):
        budget.take()
    assert not is_owned(budget._lock)
    assert budget.remaining == 5


def test_threads_spend_each_token_once() -> None:
    budget = RetryBudget(500)
    taken: list[bool] = []
    start = threading.Barrier(8)

    def take() -> None:
        start.wait(30)
        taken.extend([budget.take() for _ in range(100)])

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sum(taken) == 500


# The setting


def test_a_retry_is_a_value() -> None:
    retry = Retry(2, statuses=[503], budget=None)
    assert retry == Retry(2, statuses={503}, budget=None)
    assert retry.replace(limit=3) == Retry(3, statuses={503}, budget=None)
    assert pickle.loads(pickle.dumps(retry)) == retry
    assert hash(retry) == hash(Retry(2, statuses=[503], budget=None))
    copy = pickle.loads(pickle.dumps(RetryBudget(5, refill=0.1)))
    assert (copy.tokens, copy.refill, copy.remaining) == (5, 0.1, 5)
    assert repr(copy) == "RetryBudget(5, refill=0.1)"


def test_retry_takes_a_setting_a_number_or_none() -> None:
    retry = Retry(5)
    assert Retry.of(retry) is retry
    two = Retry.of(2)
    assert two is not None
    assert two.limit == 2
    for nothing in (None, 0, Retry(0)):
        assert Retry.of(nothing) is None


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Retry.of("3"), "retry takes a Retry, a number or None, not '3'"),  # type: ignore[arg-type]
        (lambda: Retry.of(True), "not True"),
        (lambda: Retry.of(Retry), "write it with parentheses"),  # type: ignore[arg-type]
        (lambda: Retry.of(-1), "0 or more, not -1"),
        (lambda: Retry(1.5), "how often to send again"),  # type: ignore[arg-type]
        (lambda: Retry(backoff=-1), "backoff of a Retry is in seconds, 0 or more, not -1"),
        (lambda: Retry(longest=float("nan")), "longest of a Retry"),
        (lambda: Retry(backoff=True), "backoff of a Retry"),
        (lambda: Retry(statuses=503), r"are a set: write \{503\}"),  # type: ignore[arg-type]
        (lambda: Retry(methods="POST"), r"are a set: write \{'POST'\}"),
        (lambda: Retry(statuses=["503"]), "holds ints, not '503'"),  # type: ignore[list-item]
        (lambda: Retry(budget=5), "budget of a Retry is a RetryBudget or None, not 5"),  # type: ignore[arg-type]
        (lambda: RetryBudget(-1), "tokens of a RetryBudget is a number from 0, not -1"),
        (lambda: RetryBudget(refill=float("inf")), "refill of a RetryBudget"),
        (lambda: adieu.RetryAdapter(adieu.adapter(Response), 0), "without retries, use the adapter itself"),  # type: ignore[arg-type]
    ],
    ids=str.split("text true class negative fraction backoff nan bool one-status one-method text-status budget tokens "
        "refill wrapper"),
)  # fmt: skip
def test_invalid_settings_are_refused_at_once(make: Any, text: str) -> None:
    with pytest.raises(adieu.InvalidRequest, match=text):
        make()


def test_each_retry_is_an_event_before_its_wait() -> None:
    events_seen: list[tuple[Any, ...]] = []

    class Listener(adieu.Events):
        def retrying(self, event: Retrying) -> None:
            facts = event.method, event.url, event.retry, event.wait, event.reason
            events_seen.append(facts)

    told = Report((Listener(),), 0, 0)
    mine = attempts(Retry(2, backoff=1), a_request("PUT", content=b"x"), events=told)
    mine.after(Response(503))
    mine.after(adieu.ConnectTimeout("x"))
    mine.after(Response(503))
    assert events_seen == [
        ("PUT", "https://example.org/items", 1, 0.5, "503"),
        ("PUT", "https://example.org/items", 2, 1.0, "ConnectTimeout"),
    ]
