"""Header fields: their syntax, and parsers for the values of some of them."""
