"""`adieu URL`: one request from the command line."""
