"""Content of a request: what a caller gives, encoded as bytes with a length and a media type."""
