"""Messages as values: URL, Headers, Request and Response, the content of both, and cookies.

Invariants: nothing here opens a connection or waits for one. These modules import `adieu.lifecycle`, `adieu.errors` and
the modules beside them, and nothing else of adieu.
"""
