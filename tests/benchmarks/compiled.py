"""The clients that are compiled: Rust's reqwest and two more of its kind, and C's curl. Each as its users write it."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.calls import CONTENT, Calls, pieces
from benchmarks.server import CHUNKED, DOWNLOAD, UPLOAD

if TYPE_CHECKING:
    from benchmarks.surroundings import Site

__all__ = ["primp_calls", "pycurl_calls", "pyreqwest_calls", "wreq_calls"]


def pyreqwest_calls(site: Site) -> Calls:
    make, url = import_module("pyreqwest.client").SyncClientBuilder, f"{site.url}/items"
    authority = Path(site.ca).read_bytes() if site.is_secure else None

    def opened() -> Any:
        builder = make()
        return builder.add_root_certificate_pem(authority).build() if authority else builder.build()

    client = opened()

    def once() -> object:
        with opened() as one:
            return bytes(one.get(url).build().send().bytes())

    def streamed(path: str) -> int:
        size = 0
        with client.get(site.url + path).build_streamed() as response:
            while (piece := response.body_reader.read_chunk()) is not None:
                size += len(piece)
        return size

    def generate() -> object:
        asked = client.put(site.url + UPLOAD).body_stream(pieces())
        return bytes(asked.build().send().bytes())

    return Calls(
        get=lambda: bytes(client.get(url).build().send().bytes()),
        post=lambda: client.post(url).body_json(CONTENT).build().send().json(),
        once=once,
        download=lambda: streamed(DOWNLOAD),
        chunked=lambda: streamed(CHUNKED),
        generate=generate,
        close=client.close,
    )


def wreq_calls(site: Site) -> Calls:
    blocking = import_module("wreq.blocking")
    options = {"tls_verify": Path(site.ca)} if site.is_secure else {}
    client, url = blocking.Client(**options), f"{site.url}/items"

    def streamed(path: str) -> int:
        with client.get(site.url + path).stream() as parts:
            return sum(map(len, parts))

    return Calls(
        get=lambda: bytes(client.get(url).bytes()),
        post=lambda: client.post(url, json=CONTENT).json(),
        once=lambda: bytes(blocking.Client(**options).get(url).bytes()),
        download=lambda: streamed(DOWNLOAD),
        chunked=lambda: streamed(CHUNKED),
        generate=lambda: bytes(client.put(site.url + UPLOAD, body=pieces()).bytes()),
    )


def primp_calls(site: Site) -> Calls:
    primp = import_module("primp")
    options = {"ca_cert_file": site.ca} if site.is_secure else {}
    client, url = primp.Client(**options), f"{site.url}/items"

    def streamed(path: str) -> int:
        return sum(map(len, client.get(site.url + path, stream=True).iter_bytes()))

    return Calls(
        get=lambda: client.get(url).content,
        post=lambda: client.post(url, json=CONTENT).json(),
        once=lambda: primp.Client(**options).get(url).content,
        download=lambda: streamed(DOWNLOAD),
        chunked=lambda: streamed(CHUNKED),
    )


def pycurl_calls(site: Site) -> Calls:
    """One handle for all requests; for `once` a new one each time."""
    pycurl, url = import_module("pycurl"), f"{site.url}/items"

    def handle() -> Any:
        curl = pycurl.Curl()
        curl.setopt(pycurl.CAINFO, site.ca)
        return curl

    def performed(curl: Any, address: str) -> list[bytes]:
        answer: list[bytes] = []
        curl.setopt(pycurl.URL, address)
        curl.setopt(pycurl.WRITEFUNCTION, answer.append)
        curl.perform()
        return answer

    def post() -> object:
        curl.setopt(pycurl.HTTPHEADER, ["Content-Type: application/json"])
        curl.setopt(pycurl.POSTFIELDS, json.dumps(CONTENT))
        return json.loads(b"".join(performed(curl, url)))

    def counted(path: str) -> int:
        size = 0

        def more(piece: bytes) -> None:
            nonlocal size
            size += len(piece)

        curl.setopt(pycurl.URL, site.url + path)
        curl.setopt(pycurl.WRITEFUNCTION, more)
        curl.perform()
        return size

    def upload() -> object:
        with open(site.file, "rb") as file:
            curl.setopt(pycurl.UPLOAD, 1)
            curl.setopt(pycurl.READDATA, file)
            curl.setopt(pycurl.INFILESIZE, Path(site.file).stat().st_size)
            return b"".join(performed(curl, site.url + UPLOAD))

    def once() -> object:
        one = handle()
        body = b"".join(performed(one, url))
        one.close()
        return body

    curl = handle()
    return Calls(
        get=lambda: b"".join(performed(curl, url)),
        post=post,
        once=once,
        download=lambda: counted(DOWNLOAD),
        chunked=lambda: counted(CHUNKED),
        upload=upload,
        close=curl.close,
    )
