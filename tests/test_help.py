"""`help()` of everything that sends lists the options that it takes."""

from __future__ import annotations

import pydoc
import re

import pytest

import adieu
from adieu.client.call_settings import CALL_OPTIONS
from adieu.client.option_help import OPTIONS_HELP
from adieu.client.settings import CLIENT_OPTIONS

METHODS = ("get", "head", "options", "post", "put", "patch", "delete", "query", "request", "stream")


@pytest.mark.parametrize("owner", [adieu, adieu.Client, adieu.AsyncClient])
def test_help_lists_every_option_of_a_call(owner: object) -> None:
    for method in METHODS:
        shown = pydoc.plain(pydoc.render_doc(getattr(owner, method)))
        assert set(re.findall(r"`(\w+)`", shown)) >= CALL_OPTIONS, method


def test_the_list_has_the_options_of_a_call_and_no_others() -> None:
    listed = re.findall(r"(?m)^- ((?:`\w+`(?:, )?)+): ", OPTIONS_HELP)
    assert {name for names in listed for name in re.findall(r"\w+", names)} | {
        "tls"
    } == CALL_OPTIONS


def test_help_of_a_client_lists_every_setting() -> None:
    shown = pydoc.plain(pydoc.render_doc(adieu.Client)).partition("Methods")[0]
    assert set(re.findall(r"`(\w+)`", shown)) >= CLIENT_OPTIONS
