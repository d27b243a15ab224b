"""WebSockets (RFC 6455) over a connection that was upgraded: pure frames and messages, and the steps of both drivers.

The frames are those of the sans-I/O core of `websockets` (the extra `ws`); waiting, ends and errors are adieu's.
"""
