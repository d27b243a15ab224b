"""What an adapter is, where it is mounted, and how the bytes that it moves are opened.

An adapter sends one request over some transport and answers with a response (`adapter`). Mounts
choose one, and perhaps a cleanup policy, by the parts of a URL (`mounts`); adapters are found by
name when they are first used (`registry`). Below them a wire opens byte streams: TCP, a Unix socket,
a tunnel (`wire`, `stream`), over TLS if the origin wants it (`tls`).

No HTTP is spoken here: that is `adieu.http1`. These rooms import `adieu.messages`,
`adieu.lifecycle` and `adieu.errors`, and no adapter.
"""
