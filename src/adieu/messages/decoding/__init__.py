"""Content of a response: content codings, charsets, and the parser of server-sent events."""
