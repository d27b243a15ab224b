"""Values: URL, Headers, Request, Response; content in and out.

Content in is JSON, forms, multipart and streams; content out is decoding and charsets. No I/O lives
here and nothing that knows a connection: these rooms import `adieu.lifecycle` and `adieu.errors`
only.
"""
