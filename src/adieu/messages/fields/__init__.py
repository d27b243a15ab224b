"""The syntax of header fields, and the structured values of some of them."""
