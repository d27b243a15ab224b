"""Credentials and secrets: what the cache shares with whom, and what it writes where."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from caching.origin import fresh

if TYPE_CHECKING:
    from pathlib import Path

    from adieu.testing.request import Request
    from caching.origin import Answer, Cached
    from servers import Authority

STORAGES = ["cache.sqlite", "folder"]


def whoami(request: Request) -> Answer:
    return 200, {"cache-control": "max-age=60"}, (request.header("authorization") or "-").encode()


def test_users_of_one_cache_do_not_see_each_others_responses(cached: Cached) -> None:
    cached.origin.answer = whoami
    with cached.client() as client:
        for _ in range(2):
            for user in (None, "ann", "bob"):
                auth = (user, "secret") if user else None
                expected = cached.get(client, auth=auth).content
                assert cached.get(client, auth=auth).content == expected
        assert len(cached.origin.seen) == 3
        # A change is one for all of them.
        cached.get(client, method="POST")
        assert cached.outcome(client, auth=("ann", "secret")) == "miss"


def test_a_public_response_is_for_everybody(cached: Cached) -> None:
    cached.origin.answer = lambda request: (200, {"cache-control": "public, max-age=60"}, b"all")
    with cached.client() as client:
        assert cached.outcome(client, auth=("ann", "secret")) == "miss"
        assert cached.outcome(client, auth=("bob", "secret")) == "hit"


@pytest.mark.parametrize("cached", ["sync"], indirect=True)
@pytest.mark.parametrize(
    ("control", "options", "stored"),
    [
        ("max-age=60", {}, True),
        ("max-age=60, private", {}, False),
        ("max-age=60", {"auth": ("ann", "secret")}, False),
        ("max-age=60, public", {"auth": ("ann", "secret")}, True),
        ("s-maxage=60", {"auth": ("ann", "secret")}, True),
    ],
)
def test_a_shared_cache_stores_what_is_for_all(
    cached: Cached, control: str, options: dict[str, Any], stored: bool
) -> None:
    cached.origin.answer = lambda request: (200, {"cache-control": control}, b"x")
    with cached.client(cached.adapter(shared=True)) as client:
        assert cached.get(client, **options).extras["cache"].stored is stored


def test_a_shared_cache_stores_nothing_that_sets_a_cookie(cached: Cached) -> None:
    cached.origin.answer = fresh(set_cookie="session=31d4")
    with cached.client(cached.adapter(shared=True)) as client:
        facts = cached.get(client).extras["cache"]
        assert (facts.stored, facts.why) == (False, "the response sets a cookie")


def test_a_stored_response_does_not_set_its_cookie_again(cached: Cached) -> None:
    cached.origin.answer = fresh(set_cookie="session=old", cache_control="public, max-age=60")
    with cached.client() as client:
        cached.get(client)
        assert client.cookies["session"] == "old"
        client.cookies["session"] = "new"
        hit = cached.get(client)
        assert hit.extras["cache"].outcome == "hit"
        assert hit.headers["set-cookie"] == "session=old"
        assert client.cookies["session"] == "new"


def test_a_cookie_that_comes_with_a_304_is_set(cached: Cached) -> None:
    first: Answer = (200, {"etag": '"1"', "cache-control": "public", "set-cookie": "a=1"}, b"x")
    cached.origin.answer = lambda request: (
        (304, {"set-cookie": "a=2"}, b"") if request.header("if-none-match") else first
    )
    with cached.client() as client:
        cached.get(client)
        assert cached.get(client).extras["cache"].outcome == "revalidated"
        assert client.cookies["a"] == "2"


def test_a_304_without_a_cookie_sets_none_again(cached: Cached) -> None:
    first: Answer = (200, {"etag": '"1"', "cache-control": "public", "set-cookie": "a=1"}, b"x")
    cached.origin.answer = lambda request: (
        (304, {}, b"") if request.header("if-none-match") else first
    )
    with cached.client() as client:
        cached.get(client)
        client.cookies["a"] = "new"
        assert cached.get(client).extras["cache"].outcome == "revalidated"
        assert client.cookies["a"] == "new"


@pytest.mark.parametrize("storage", STORAGES)
def test_no_secret_of_a_request_is_written_to_disk_or_told(
    cached: Cached, storage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = [b"hush-query", b"hush-header", b"hush-cookie", b"YW5uOmh1c2g="]
    cached.origin.answer = fresh(b"body", vary="X-Api-Key, Cookie")
    place = tmp_path / storage
    with cached.client(cached.adapter(storage=place)) as client:
        options: dict[str, Any] = {
            "params": {"token": "hush-query", "page": "2"},
            "headers": {"x-api-key": "hush-header", "cookie": "a=hush-cookie"},
            "auth": ("ann", "hush"),
        }
        assert [cached.outcome(client, **options) for _ in range(2)] == ["miss", "hit"]
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"page=2" in written
    told = "\n".join([*(record.getMessage() for record in caplog.records), str(cached.events.told)])
    for secret in secrets:
        assert secret not in written
        assert secret.decode() not in told


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.parametrize("storage", STORAGES)
def test_only_the_owner_may_read_the_files(cached: Cached, storage: str, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with cached.client(cached.adapter(storage=tmp_path / storage)) as client:
            assert cached.get(client).extras["cache"].stored
            paths = [tmp_path / storage, *tmp_path.rglob("*")]
            modes = {path.stat().st_mode & 0o077 for path in paths}
    finally:
        os.umask(before)
    assert len(paths) > 2
    assert modes == {0}


def test_a_client_certificate_belongs_to_the_variant(cached: Cached, authority: Authority) -> None:
    cert = (str(authority.chain), str(authority.key))
    cached.origin.answer = fresh()
    with cached.client() as client:
        cached.get(client)
        assert cached.outcome(client, tls=adieu.TLSConfig(cert=cert)) == "miss"
        assert cached.outcome(client, tls=adieu.TLSConfig(cert=cert)) == "hit"
        assert cached.outcome(client) == "hit"
