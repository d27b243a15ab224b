"""Content of a response: content codings undone, bytes decoded to text and to server-sent events."""
