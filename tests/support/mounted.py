"""Clients whose adapters say by which mount they were chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import adieu

if TYPE_CHECKING:
    from adieu.transport.functions import FunctionAdapter

__all__ = ["answering", "client_with", "served_by"]


def answering(name: str) -> FunctionAdapter:
    """An adapter that puts a signature into its responses."""

    @adieu.adapter
    def sign(request: adieu.Request) -> adieu.Response:
        return adieu.Response(200, {"served-by": name})

    return sign


def client_with(*patterns: str) -> adieu.Client:
    """A client whose mounts and default adapter sign with their patterns."""
    client = adieu.Client(adapter=answering("default"))
    for pattern in patterns:
        client.mount(pattern, answering(pattern))
    return client


def served_by(client: adieu.Client, url: str) -> str:
    return client.get(url).headers["served-by"]
