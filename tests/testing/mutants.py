"""The adapter of docs/example-adapter.md, broken on purpose: one fault each, and the scenario that is meant to find it.

A mutant is a change of the text of the page. Most add a method to the lease or replace one line.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["MUTANTS", "Mutant", "example", "source"]

PAGE = Path(__file__).parents[2] / "docs/example-adapter.md"


class Mutant(NamedTuple):
    """`scenario` finds what `new` in the place of `old` breaks; `fault` says what that is.

    `more`: one more change, of a text and its replacement, where something protects from the first alone.
    """

    scenario: str
    fault: str
    old: str
    new: str
    more: tuple[str, str] = ("", "")

    def apply(self, text: str) -> str:
        """The broken text."""
        for old, new in ((self.old, self.new), self.more):
            assert not old or text.count(old) == 1, f"the page has changed: {old!r}"
            text = text.replace(old, new) if old else text
        return text


def source() -> str:
    """The blocks of the page up to the adapter."""
    blocks = re.findall(r"(?ms)^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"))
    last = next(i for i, block in enumerate(blocks) if "class HTTPClientAdapter" in block)
    return "\n\n".join(blocks[: last + 1])


def example(text: str) -> Any:
    """The adapter's class in this text."""
    names: dict[str, Any] = {"__name__": "adieu_example"}
    exec(compile(text, str(PAGE), "exec"), names)
    return names["HTTPClientAdapter"]


_WRITE = "    def write(self, data):"
_OWN = "        exchange.own(lease)\n"
_ANSWER = "        response = lease.answer()\n"


def _method(text: str) -> str:
    """A method more in the lease, before `write`."""
    return "".join(f"    {line}\n" for line in text.splitlines()) + f"\n{_WRITE}"


MUTANTS = [
    Mutant(
        "a-body-that-was-read-frees-its-connection",
        "a connection that could be used again is not given back",
        _WRITE,
        _method(
            "def finish(self, reuse, why):\n    if not reuse:\n        super().finish(reuse, why)"
        ),
    ),
    Mutant(
        "a-head-without-a-body-frees-its-connection",
        "a response without a body is not known as one",
        'self.framing = "length" if response.length else "none"',
        'self.framing = "length"',
    ),
    Mutant(
        "a-policy-that-keeps-nothing-is-obeyed",
        "the server is not told to close, and every connection is kept that could be",
        _WRITE,
        _method(
            "def finish(self, reuse, why):\n    super().finish(reuse or self.remaining == 0, why)"
        ),
        more=(
            "        fields = fields_to_send(request, exchange)\n",
            (
                "        fields = fields_to_send(request, exchange)\n"
                "        fields = [field for field in fields if field[0] != 'Connection']\n"
            ),
        ),
    ),
    Mutant(
        "a-lease-that-ended-harms-no-other",
        "a lease that is ended again closes the connection, whose ever it is",
        _WRITE,
        _method(
            "def finish(self, reuse, why):\n"
            "    if self.ended and self.connection is not None:\n"
            "        self.connection.close()\n"
            "    super().finish(reuse, why)"
        ),
    ),
    Mutant(
        "a-lease-can-be-ended-while-it-is-read",
        "the socket object is closed, which does not wake a recv that waits",
        "            shut(self.sock)\n",
        "            self.sock.close()\n",
    ),
    Mutant(
        "content-that-fails-leaves-nothing",
        "the exchange owns the lease when the content has been sent, and not before",
        f"{_OWN}        connection = self._wait.take(lease, exchange)",
        "        self.__dict__.setdefault('leases', []).append(lease)\n"
        "        exchange.own(lease)\n"
        "        connection = self._wait.take(lease, exchange)\n"
        "        exchange.lease = None",
    ),
    Mutant(
        "an-exchange-that-breaks-leaves-nothing",
        "the exchange does not own the lease while the head is awaited",
        _ANSWER,
        "        self.__dict__.setdefault('leases', []).append(lease)\n"
        f"        exchange.lease = None\n{_ANSWER}        exchange.lease = lease\n",
    ),
    Mutant(
        "no-cycle-is-left",
        "the response of http.client refers to the lease that refers to it",
        "        self.response = self.open.response = response\n",
        "        self.response = self.open.response = response\n        response.lease = self\n",
    ),
    Mutant(
        "a-dropped-body-is-closed-and-reported",
        "the adapter keeps every response alive",
        "        return exchange.respond(\n",
        "        def kept(*facts, **options):\n"
        "            self.last = exchange.respond(*facts, **options)\n"
        "            return self.last\n\n"
        "        return kept(\n",
    ),
    Mutant(
        "nothing-is-open-after-close",
        "close() closes nothing",
        "        return self._pool.close()\n",
        "        return None\n",
    ),
    Mutant(
        "close-ends-a-call-that-waits",
        "a connection that is closed keeps its socket",
        "            shut(self.sock)\n",
        "            pass\n",
    ),
    Mutant(
        "a-closed-adapter-is-refused",
        "close() begins anew with an empty pool",
        "        return self._pool.close()\n",
        "        report = self._pool.close()\n        self.__init__()\n        return report\n",
    ),
    Mutant(
        "surplus-bytes-answer-no-request",
        "an idle connection is never looked at before it is used",
        "return self.sock is not None and SocketStream(self.sock).readable()",
        "return False",
    ),
    Mutant(
        "ambiguous-framing-is-refused",
        "a response may have a length and chunks",
        'if len(lengths) > 1 or (lengths and "Transfer-Encoding" in self.headers):',
        "if len(lengths) > 1:",
    ),
    Mutant(
        "interim-answers-are-read-past",
        "the first head is taken for that of the response",
        "if self.status == 101 or self.status >= 200:",
        "if self.status:",
    ),
    Mutant(
        "what-was-left-answers-no-request",
        "a connection whose body was left is used again, and not looked at",
        _WRITE,
        _method(
            "def finish(self, reuse, why):\n"
            "    super().finish(reuse or self.started and why != 'client closed', why)"
        ),
        more=(
            "return self.sock is not None and SocketStream(self.sock).readable()",
            "return False",
        ),
    ),
    Mutant(
        "calls-at-once-get-their-own-answers",
        "the response is kept in the class, so that all leases read the last one",
        "self.response = self.open.response = response",
        "type(self).response = self.open.response = response",
    ),
    Mutant(
        "a-post-is-not-sent-twice",
        "whatever meets a dead connection is sent again",
        _ANSWER,
        "        try:\n            response = lease.answer()\n"
        "        except adieu.TransportError:\n            return self.send(request, exchange)\n",
    ),
    Mutant(
        "a-fresh-request-is-not-sent-twice",
        "a request is tried twice, on a fresh connection, too",
        _ANSWER,
        "        try:\n            response = lease.answer()\n"
        "        except adieu.TransportError:\n"
        "            self.tries = vars(self).get('tries', 0) + 1\n"
        "            if self.tries > 1:\n                raise\n"
        "            return self.send(request, exchange)\n",
    ),
    Mutant(
        "a-peer-that-stops-is-a-timeout",
        "no wait has a limit",
        "self.open.sock.settimeout(deadline.remaining(wait))",
        "self.open.sock.settimeout(None)",
    ),
    Mutant(
        "a-handshake-that-stops-is-a-timeout",
        "a handshake that takes too long is an error of the head",
        'with lease.errors("tls", deadline):',
        'with lease.errors("head", deadline):',
    ),
    Mutant(
        "the-total-limit-covers-the-body",
        "each wait has its own limit, and the call has none",
        "deadline.remaining(wait)",
        "getattr(deadline.timeout, wait)",
    ),
    Mutant(
        "a-forked-child-has-its-own-connections",
        "the child shuts the connections of its parent down",
        "            socket.SocketType.close(self.sock)",
        "            shut(self.sock)",
    ),
    Mutant(
        "content-is-read-and-closed",
        "the content is read twice, once for its length",
        '        lease.sent = "partly"\n',
        "        self.size = sum(map(len, request.content.chunks()))\n"
        '        lease.sent = "partly"\n',
    ),
    Mutant(
        "a-failed-read-does-not-end-cleanly-later",
        "a lease that has ended reads as the end of the body",
        'raise adieu.BodyClosed(f"the body of {self.url} was closed before it was read")',
        'return b""',
    ),
    Mutant(
        "no-text-shows-a-secret",
        "an error quotes the whole URL",
        "            raise map_error(what, phase, self, deadline) from error",
        '            raise adieu.ReadError(f"GET {self.url} failed") from error',
    ),
    Mutant(
        "errors-tell-how-far-the-call-came",
        "the lease never says that the request was sent",
        '        lease.sent = "wholly"\n',
        "",
    ),
    Mutant(
        "a-route-is-honoured-or-refused",
        "the adapter says that it uses proxies",
        'frozenset(("tls",))',
        'frozenset(("tls", "route"))',
    ),
    Mutant(
        "a-middleware-gets-responses-that-it-can-use",
        "an exchange can be used once",
        "        fields = fields_to_send(request, exchange)\n",
        "        fields = fields_to_send(request, exchange)\n"
        "        if exchange.status:\n            raise adieu.InvalidRequest('used before')\n",
    ),
    Mutant(
        "requests-arrive-as-they-are",
        "the query is not sent",
        "connection.http.putrequest(request.method, request.url.target, True, True)",
        "connection.http.putrequest(request.method, request.url.path, True, True)",
    ),
    Mutant(
        "responses-arrive-as-they-are",
        "of repeated fields the last one is kept",
        "for name, value in response.getheaders()]",
        "for name, value in dict(response.getheaders()).items()]",
    ),
    Mutant(
        "every-policy-ends-every-body",
        "a body that was read in part is not ended",
        _WRITE,
        _method(
            "def finish(self, reuse, why):\n"
            "    if reuse or not self.received or why == 'client closed':\n"
            "        super().finish(reuse, why)"
        ),
    ),
    Mutant(
        "a-call-of-several-hops-frees-each-connection",
        "content is sent with the first hop of a call alone",
        "for chunk in request.content.chunks():",
        "for chunk in () if exchange.hop else request.content.chunks():",
    ),
    Mutant(
        "an-error-anywhere-leaves-nothing",
        "the exchange does not own the lease any more when there is a response",
        "        return exchange.respond(\n",
        "        def forgotten(*facts, **options):\n"
        "            response = exchange.respond(*facts, **options)\n"
        "            self.__dict__.setdefault('leases', []).append(lease)\n"
        "            exchange.lease = None\n"
        "            return response\n\n"
        "        return forgotten(\n",
    ),
    Mutant(
        "a-listener-that-raises-harms-nothing",
        "a listener is called as it is",
        "        origin, deadline = exchange.url.origin, exchange.deadline\n",
        "        origin, deadline = exchange.url.origin, exchange.deadline\n"
        "        if exchange.events is not None:\n"
        "            exchange.events.connect_started(connection.id, str(origin))\n",
    ),
    Mutant(
        "a-socket-call-that-fails-leaves-nothing",
        "a socket has an owner when its options are set, and not before",
        "            connection.use(socket.create_connection(address, deadline.remaining('connect')))\n".replace(
            "'", '"'
        ),
        "            sock = socket.create_connection(address, deadline.remaining('connect'))\n"
        "            self.__dict__.setdefault('sockets', []).append(sock)\n",
        more=(
            "            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)\n",
            (
                "            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)\n"
                "            connection.use(sock)\n"
            ),
        ),
    ),
    Mutant(
        "a-connect-that-stops-is-a-timeout",
        "a connection that takes too long is an error of the head",
        'with lease.errors("connect", deadline):',
        'with lease.errors("head", deadline):',
    ),
    Mutant(
        "a-full-pool-is-a-timeout",
        "the limits are not those that were given",
        "limits or adieu.Limits()",
        "adieu.Limits()",
    ),
    Mutant(
        "an-address-is-honoured-or-refused",
        "the adapter says that it connects to pinned addresses",
        'frozenset(("tls",))',
        'frozenset(("tls", "connect"))',
    ),
    Mutant(
        "a-guard-is-honoured-or-refused",
        "the adapter says that it asks a guard",
        'frozenset(("tls",))',
        'frozenset(("tls", "guard"))',
    ),
    Mutant(
        "tls-settings-are-honoured-or-refused",
        "the TLS settings of the exchange are not looked at",
        "tls = exchange.connection.tls or adieu.TLSConfig()",
        "tls = adieu.TLSConfig()",
    ),
    Mutant(
        "tls-settings-are-honoured-or-refused",
        "the name that the certificate has to have is that of the URL",
        "tls.name_for(origin.host",
        "(origin.host",
    ),
    Mutant(
        "trailers-are-carried-or-refused",
        "trailers are left out",
        'if request.method == "CONNECT" or request.content.trailers is not None:',
        'if request.method == "CONNECT":',
    ),
    Mutant(
        "a-pickled-copy-works-on-its-own",
        "what is pickled is something else",
        "    def connections(self):",
        "    def __reduce__(self):\n        return object, ()\n\n    def connections(self):",
    ),
]
