"""Content of a request: the caller's values, encoded as bytes with a length and a media type."""
