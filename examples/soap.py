"""A SOAP service through zeep, with adieu's connections below it.

`pip install zeep 'adieu[requests]'`. zeep sends with a session of requests. `AdieuAdapter`
puts adieu's adapters and policies below that session, so no connection stays open, whatever zeep
does with its responses.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import requests
import zeep

import adieu
from adieu_requests import AdieuAdapter

__all__ = ["soap_client"]


@contextmanager
def soap_client(wsdl: str, *, seconds: float = 30) -> Iterator[zeep.Client]:
    """A client of the service that this WSDL describes. At the end of the block nothing is open."""
    with requests.Session() as session:
        for scheme in ("http://", "https://"):
            session.mount(scheme, AdieuAdapter(limits=adieu.Limits(10)))
        limits = {"timeout": seconds, "operation_timeout": seconds}
        transport = zeep.Transport(session=session, **limits)  # type: ignore[no-untyped-call]
        yield zeep.Client(wsdl, transport=transport)  # type: ignore[no-untyped-call]
