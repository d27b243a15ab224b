"""httpx and httpx2 over adieu, and adieu over their transports.

There is a module for each: `adieu_httpx.httpx` and `adieu_httpx.httpx2`, with the same names. `AdieuTransport` and
`AsyncAdieuTransport` are transports over any adapter of adieu; `HttpxAdapter` and `AsyncHttpxAdapter` are adapters over
any transport. docs/bridges.md says what is mapped to what.
"""
