"""What the cache answers, what it asks the server for, and what it says about it: over real sockets, in every mode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu_cache import CacheAdapter, CacheFacts
from caching.origin import fresh

if TYPE_CHECKING:
    from adieu.testing.request import Request
    from caching.origin import Answer, Cached


in_one_mode = pytest.mark.parametrize("cached", ["sync"], indirect=True)
"""For what the pure rules decide, in the same steps for both kinds."""


def versioned(*tags: str) -> Any:
    """A resource with a strong validator, which has to be checked each time; the last version stays."""
    versions = list(tags)

    def answer(request: Request) -> Answer:
        tag = versions[0] if len(versions) == 1 else versions.pop(0)
        if request.header("if-none-match") == tag:
            return 304, {"etag": tag, "x-checked": "yes"}, b""
        return 200, {"etag": tag, "cache-control": "no-cache"}, f"body of {tag}".encode()

    return answer


def test_a_fresh_response_is_answered_without_a_connection(cached: Cached) -> None:
    with cached.client() as client:
        first = cached.get(client)
        cached.clock.now += 59
        second = cached.get(client)
        assert (first.content, second.content) == (b"fresh", b"fresh")
        assert len(cached.origin.seen) == 1
        assert second.headers["age"] == "59"
        facts = second.extras["cache"]
        assert isinstance(facts, CacheFacts)
        assert (facts.outcome, facts.age, facts.from_cache) == ("hit", 59, True)
        assert first.extras["cache"].stored
        assert second.extras["from_cache"] is True
        assert "from_cache" not in first.extras
        assert cached.events.told == [
            ("miss", "asked the server"),
            ("stored", "asked the server"),
            ("hit", "fresh"),
        ]
        cached.clock.now += 2
        assert cached.outcome(client) == "miss"


def test_a_304_is_answered_with_the_stored_body(cached: Cached) -> None:
    cached.origin.answer = versioned('"1"')
    with cached.client() as client:
        cached.get(client)
        response = cached.get(client)
        assert (response.status_code, response.content) == (200, b'body of "1"')
        assert response.headers["x-checked"] == "yes"
        assert response.extras["cache"].outcome == "revalidated"
        assert response.extras["from_cache"] is False
        assert cached.origin.seen[1].header("if-none-match") == '"1"'


def test_a_changed_response_replaces_the_stored_one(cached: Cached) -> None:
    cached.origin.answer = versioned('"1"', '"2"')
    with cached.client() as client:
        assert [cached.get(client).content for _ in range(3)] == [
            b'body of "1"',
            b'body of "2"',
            b'body of "2"',
        ]
        assert cached.origin.seen[2].header("if-none-match") == '"2"'
        assert cached.outcome(client) == "revalidated"


@pytest.mark.parametrize("status", [304, 200])
def test_a_newer_head_may_forbid_to_keep_what_it_tells_of(cached: Cached, status: int) -> None:
    cached.origin.answer = versioned('"1"')
    with cached.client() as client:
        cached.get(client)
        cached.origin.answer = lambda request: (
            status,
            {"etag": '"1"', "cache-control": "no-store"},
            b'body of "1"' if status == 200 else b"",
        )
        last = cached.get(client)
        assert (last.extras["cache"].outcome, last.content) == ("revalidated", b'body of "1"')
        cached.get(client, headers={"cache-control": "max-stale"})
        assert len(cached.origin.seen) == 3
        assert cached.origin.seen[2].header("if-none-match") is None


def test_a_304_may_name_another_vary(cached: Cached) -> None:
    first: Answer = (200, {"etag": '"1"', "cache-control": "max-age=1"}, b"x")
    newer: Answer = (304, {"vary": "X-Mode", "cache-control": "max-age=100"}, b"")
    cached.origin.answer = lambda request: newer if request.header("if-none-match") else first
    with cached.client() as client:
        cached.get(client, headers={"x-mode": "a"})
        cached.clock.now += 10
        outcomes = [cached.outcome(client, headers={"x-mode": mode}) for mode in "aab"]
        assert outcomes == ["revalidated", "hit", "miss"]


@pytest.mark.parametrize("policy", [adieu.Prefetch(), adieu.CloseOnExit(), adieu.ReleaseOnRead()])
def test_it_hangs_up_when_a_strong_validator_is_unchanged(
    cached: Cached, policy: adieu.CleanupPolicy
) -> None:
    # A server that knows no conditions sends everything again: ten megabytes, of which none is read to its end.
    big = bytes(10_000_000)
    cached.origin.answer = lambda request: (200, {"etag": '"big"'}, big)
    with cached.client(cached.adapter(max_body=len(big))) as client:
        assert cached.get(client, cleanup=adieu.Prefetch()).extras["cache"].stored
        response = cached.get(client, cleanup=policy)
        assert response.extras["cache"].outcome == "revalidated"
        assert response.extras["cache"].why == "the strong validator is unchanged"
        assert response.content == big
        assert [line for line in client.connections() if line.state != "idle"] == []
        cached.origin.answer = fresh()
        assert cached.outcome(client, "/other") == "miss"
        assert (
            cached.origin.server.accepted == 2
        )  # The first connection was closed in the middle of the body.


def test_a_short_unchanged_body_is_drained_and_its_connection_kept(cached: Cached) -> None:
    cached.origin.answer = lambda request: (200, {"etag": '"same"'}, b"x" * 1000)
    with cached.client() as client:
        for _ in range(4):
            cached.get(client, cleanup=adieu.Prefetch(within=30))
        assert len(cached.origin.seen) == 4
        assert cached.origin.server.accepted == 1


@in_one_mode
@pytest.mark.parametrize(
    "second",
    [
        {"etag": 'W/"1"'},
        {"etag": '"2"'},
        {"etag": '"1"', "content-encoding": "identity"},
        {"etag": '"1"', "content-type": "text/other"},
        {},
    ],
    ids=str,
)
def test_a_body_that_may_have_changed_is_read(cached: Cached, second: dict[str, str]) -> None:
    answers: list[Answer] = [(200, second, b"new"), (200, {"etag": '"1"'}, b"old")]
    cached.origin.answer = lambda request: answers.pop()
    with cached.client() as client:
        assert cached.get(client).content == b"old"
        assert cached.get(client).content == b"new"


def test_the_request_of_the_caller_is_not_changed(cached: Cached) -> None:
    cached.origin.answer = versioned('"1"')
    request = adieu.Request("GET", f"{cached.origin.server.url}/thing")
    with cached.client() as client:
        for _ in range(2):
            response = cached.run(client.send(request))
            assert "if-none-match" not in response.request.headers
    assert "if-none-match" not in request.headers


def test_a_conditional_request_of_the_caller_is_answered_or_passed_on(cached: Cached) -> None:
    cached.origin.answer = fresh(etag='"1"')
    theirs = {"if-none-match": '"0", W/"1"'}
    with cached.client() as client:
        cached.get(client)
        hit = cached.get(client, headers=theirs)
        assert (hit.status_code, hit.content, hit.headers["etag"]) == (304, b"", '"1"')
        assert cached.get(client, headers={"if-none-match": '"0"'}).status_code == 200
        assert len(cached.origin.seen) == 1
        cached.clock.now += 100
        cached.origin.answer = lambda request: (
            304,
            {"etag": '"1"', "cache-control": "max-age=5"},
            b"",
        )
        passed = cached.get(client, headers=theirs)
        assert passed.status_code == 304
        assert cached.origin.seen[1].header("if-none-match") == theirs["if-none-match"]
        # What it said about the stored response is known.
        assert cached.outcome(client) == "hit"


def test_vary_keeps_answers_apart(cached: Cached) -> None:
    cached.origin.answer = lambda request: (
        200,
        {"vary": "Accept-Language, X-Mode", "cache-control": "max-age=60"},
        (request.header("accept-language") or "none").encode(),
    )
    with cached.client() as client:
        for _ in range(2):
            for language in ("en", "de, fr", None):
                headers = {"accept-language": language} if language else {}
                expected = (language or "none").encode()
                assert cached.get(client, headers=headers).content == expected
        assert len(cached.origin.seen) == 3
        assert cached.get(client, headers={"accept-language": "de,  fr"}).content == b"de, fr"
        assert len(cached.origin.seen) == 3


def test_the_number_of_variants_of_a_url_is_bounded(cached: Cached) -> None:
    cached.origin.answer = fresh(vary="X-Mode")
    with cached.client() as client:
        for number in range(30):
            cached.get(client, headers={"x-mode": str(number)})
        assert cached.outcome(client, headers={"x-mode": "29"}) == "hit"
        assert cached.outcome(client, headers={"x-mode": "0"}) == "miss"


def test_a_part_of_a_stored_body_is_answered(cached: Cached) -> None:
    cached.origin.answer = fresh(b"0123456789", etag='"1"')
    with cached.client() as client:
        cached.get(client)
        for wanted, body, part in (
            ("bytes=2-4", b"234", "bytes 2-4/10"),
            ("bytes=7-", b"789", "bytes 7-9/10"),
            ("bytes=-1", b"9", "bytes 9-9/10"),
            ("bytes=5-100", b"56789", "bytes 5-9/10"),
        ):
            response = cached.get(client, headers={"range": wanted})
            assert (response.status_code, response.content) == (206, body)
            assert response.headers["content-range"] == part
            assert response.headers["content-length"] == str(len(body))
        assert cached.get(client, headers={"range": "bytes=0-0", "if-range": '"1"'}).content == b"0"
        assert len(cached.origin.seen) == 1
        for other in ("bytes=10-", "bytes=0-1,3-4", "lines=1-2"):
            assert cached.outcome(client, headers={"range": other}) == "miss"
        assert cached.outcome(client, headers={"range": "bytes=0-1", "if-range": '"2"'}) == "miss"
        assert len(cached.origin.seen) == 5


def test_a_part_is_never_stored(cached: Cached) -> None:
    cached.origin.answer = lambda request: (
        206,
        {"content-range": "bytes 0-1/10", "cache-control": "max-age=60"},
        b"01",
    )
    with cached.client() as client:
        for _ in range(2):
            response = cached.get(client, headers={"range": "bytes=0-1"})
            assert response.extras["cache"].outcome == "miss"
            assert not response.extras["cache"].stored


def test_head_is_answered_by_what_a_get_has_stored(cached: Cached) -> None:
    with cached.client() as client:
        assert cached.outcome(client, method="HEAD") == "miss"
        cached.get(client)
        head = cached.get(client, method="HEAD")
        assert head.extras["cache"].outcome == "hit"
        assert (head.content, head.headers["content-length"]) == (b"", "5")
        assert len(cached.origin.seen) == 2


def test_a_head_that_tells_of_the_same_version_makes_the_stored_one_fresh(cached: Cached) -> None:
    cached.origin.answer = fresh(etag='"1"')
    with cached.client() as client:
        cached.get(client)
        cached.clock.now += 100
        assert cached.get(client, method="HEAD").extras["cache"].outcome == "miss"
        assert cached.outcome(client) == "hit"


@in_one_mode
@pytest.mark.parametrize(
    "newer", [fresh(etag='"2"'), fresh(b"longer", etag='"1"')], ids=["tag", "length"]
)
def test_a_head_that_tells_of_another_version_removes_the_stored_one(
    cached: Cached, newer: Any
) -> None:
    cached.origin.answer = fresh(etag='"1"')
    with cached.client() as client:
        cached.get(client)
        cached.origin.answer = newer
        cached.get(client, method="HEAD", headers={"cache-control": "no-cache"})
        assert cached.outcome(client, headers={"cache-control": "only-if-cached"}) == "miss"


@in_one_mode
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "UNKNOWN"])
def test_a_change_makes_stored_responses_invalid(cached: Cached, method: str) -> None:
    with cached.client() as client:
        for path in ("/thing", "/other"):
            cached.get(client, path)
        cached.origin.answer = lambda request: (500, {"location": "/other"}, b"")
        assert cached.outcome(client, method=method) == "bypassed"
        cached.origin.answer = fresh()
        assert cached.outcome(client) == "hit"
        cached.origin.answer = lambda request: (201, {"location": "/other"}, b"")
        cached.get(client, method=method)
        cached.origin.answer = fresh()
        assert [cached.outcome(client, path) for path in ("/thing", "/other")] == ["miss", "miss"]


def test_what_was_asked_for_before_a_change_is_not_stored_after_it(cached: Cached) -> None:
    cached.origin.answer = fresh(bytes(200_000))
    with cached.client(cached.adapter(limits=adieu.Limits(connections=2))) as client:
        with cached.runner.block(
            client.stream("GET", "/thing", cleanup=adieu.ReleaseOnRead())
        ) as older:
            cached.get(client, method="POST")
            assert len(cached.run(older.read())) == 200_000
        facts = older.extras["cache"]
        assert (facts.stored, facts.why) == (False, "it was changed meanwhile")
        assert [cached.outcome(client) for _ in range(2)] == ["miss", "hit"]


def test_another_origin_is_not_changed(cached: Cached) -> None:
    elsewhere = cached.origin.server.url.replace("127.0.0.1", "localhost")
    with cached.client() as client:
        cached.get(client, "/other")
        cached.origin.answer = lambda request: (200, {"location": f"{elsewhere}/other"}, b"")
        cached.get(client, method="POST")
        assert cached.outcome(client, "/other") == "hit"


def test_post_is_stored_only_if_that_was_asked_for(cached: Cached) -> None:
    with cached.client() as client:
        for _ in range(2):
            assert cached.outcome(client, method="POST", json={"page": 1}) == "bypassed"
    with cached.client(cached.adapter(methods=["GET", "POST"])) as client:
        outcomes = [
            cached.outcome(client, method="POST", json={"page": page}) for page in (1, 1, 2, 2)
        ]
        assert outcomes == ["miss", "hit", "miss", "hit"]
        assert cached.outcome(client) == "miss"  # A GET is another question.
        pieces = iter([b"1"])
        assert cached.outcome(client, method="POST", content=pieces) == "bypassed"


@in_one_mode
@pytest.mark.parametrize(
    ("directive", "outcome"),
    [
        ("no-store", "bypassed"),
        ("no-cache", "miss"),
        ("max-age=10", "miss"),
        ("max-age=30", "hit"),
        ("min-fresh=50", "miss"),
        ("min-fresh=30", "hit"),
        ("only-if-cached", "hit"),
    ],
)
def test_a_request_says_how_fresh_the_answer_has_to_be(
    cached: Cached, directive: str, outcome: str
) -> None:
    with cached.client() as client:
        cached.get(client)
        cached.clock.now += 20
        assert cached.outcome(client, headers={"cache-control": directive}) == outcome


def test_a_request_may_accept_what_is_stale(cached: Cached) -> None:
    with cached.client() as client:
        cached.get(client)
        cached.clock.now += 70
        for directive, outcome in (
            ("max-stale=20", "stale"),
            ("max-stale", "stale"),
            ("max-stale=5", "miss"),
        ):
            assert cached.outcome(client, headers={"cache-control": directive}) == outcome


def test_only_if_cached_sends_nothing(cached: Cached) -> None:
    with cached.client() as client:
        response = cached.get(client, headers={"cache-control": "only-if-cached"})
        assert response.status_code == 504
        assert cached.origin.seen == []


def test_a_stale_response_answers_one_call_while_the_next_one_asks(cached: Cached) -> None:
    cached.origin.answer = lambda request: (
        200,
        {"cache-control": "max-age=10, stale-while-revalidate=100"},
        b"%d" % len(cached.origin.seen),
    )
    with cached.client() as client:
        cached.get(client)
        cached.clock.now += 20
        stale = cached.get(client)
        assert (stale.extras["cache"].outcome, stale.content) == ("stale", b"1")
        asked = cached.get(client)
        assert (asked.extras["cache"].outcome, asked.content) == ("miss", b"2")
        assert cached.outcome(client) == "hit"
        cached.clock.now += 200
        assert cached.outcome(client) == "miss"


@pytest.mark.parametrize("failure", ["closed", 503])
def test_a_stale_response_answers_in_place_of_an_error(cached: Cached, failure: object) -> None:
    cached.origin.answer = lambda request: (
        200,
        {"cache-control": "max-age=10, stale-if-error=100"},
        b"old",
    )
    with cached.client() as client:
        cached.get(client)
        cached.clock.now += 20
        cached.origin.answer = lambda request: (0 if failure == "closed" else 503, {}, b"broken")
        response = cached.get(client)
        assert (response.status_code, response.content) == (200, b"old")
        facts = response.extras["cache"]
        assert facts.outcome == "stale"
        assert facts.why == f"instead of {'PeerClosed' if failure == 'closed' else 'a 5xx status'}"
        assert [line for line in client.connections() if line.state != "idle"] == []
        cached.clock.now += 200
        if failure == "closed":
            with pytest.raises(adieu.PeerClosed):
                cached.get(client)
        else:
            assert cached.get(client).status_code == 503


def test_the_user_may_allow_stale_answers_for_errors_unless_the_server_forbids_them(
    cached: Cached,
) -> None:
    with cached.client(cached.adapter(stale_if_error=1000)) as client:
        cached.origin.answer = lambda request: (
            200,
            {"cache-control": f"max-age=10{', must-revalidate' * (request.path == '/other')}"},
            b"old",
        )
        for path in ("/thing", "/other"):
            cached.get(client, path)
        cached.clock.now += 20
        cached.origin.answer = lambda request: (503, {}, b"")
        assert cached.get(client, "/thing").content == b"old"
        assert cached.get(client, "/other").status_code == 503


def test_redirects_and_missing_pages_are_stored_too(cached: Cached) -> None:
    cached.origin.answer = lambda request: (
        (301, {"location": "/other", "cache-control": "max-age=60"}, b"")
        if request.path == "/thing"
        else (404, {"cache-control": "max-age=60"}, b"no such page")
    )
    with cached.client() as client:
        cached.get(client)
        response = cached.get(client)
        assert (response.status_code, response.content) == (404, b"no such page")
        assert len(cached.origin.seen) == 2
        assert response.history[0].extras["cache"].outcome == "hit"


@in_one_mode
@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"cache-control": "no-store"}, "the response has no-store"),
        ({"cache-control": "max-age=60", "vary": "*"}, "Vary is *"),
        ({}, "nothing says how long it is fresh, and it has no validator"),
    ],
)
def test_what_is_not_stored_says_why(cached: Cached, fields: dict[str, str], why: str) -> None:
    cached.origin.answer = lambda request: (200, fields, b"x")
    with cached.client() as client:
        for _ in range(2):
            facts = cached.get(client).extras["cache"]
            assert (facts.outcome, facts.stored, facts.why) == ("miss", False, why)


def test_a_body_that_is_too_long_is_not_stored(cached: Cached) -> None:
    cached.origin.answer = fresh(bytes(1001))
    with cached.client(cached.adapter(max_body=1000)) as client:
        facts = cached.get(client).extras["cache"]
        assert (facts.stored, facts.why) == (False, "the body is longer than max_body=1000")
        cached.origin.answer = fresh(bytes(1000))
        assert cached.get(client).extras["cache"].stored


def test_a_coded_body_is_stored_as_it_came(cached: Cached) -> None:
    import gzip

    cached.origin.answer = fresh(gzip.compress(b"hello"), content_encoding="gzip")
    with cached.client() as client:
        assert [cached.get(client).content for _ in range(2)] == [b"hello", b"hello"]
        assert len(cached.origin.seen) == 1


@pytest.mark.parametrize(
    "option",
    [
        {"methods": ["PUT"]},
        {"max_body": -1},
        {"heuristic": "a day"},
        {"stale_if_error": True},
        {"storage": 1},
        {"storage": "no such folder/cache.sqlite"},
    ],
    ids=str,
)
def test_a_setting_that_makes_no_sense_is_refused(option: dict[str, Any]) -> None:
    with pytest.raises(adieu.InvalidRequest, match=next(iter(option))):
        CacheAdapter(**option)


def test_a_closed_cache_refuses(cached: Cached) -> None:
    adapter = cached.adapter()
    with cached.client(adapter) as client:
        cached.get(client)
    with cached.client(adapter) as client, pytest.raises(adieu.ClientClosed):
        cached.get(client)
    cached.run(adapter.close())


def test_it_has_a_name(cached: Cached) -> None:
    made = cached.runner.client(base_url=cached.origin.server.url, adapter="cache")
    with cached.runner.block(made) as client:
        assert [cached.outcome(client) for _ in range(2)] == ["miss", "hit"]
