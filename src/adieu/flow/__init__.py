"""The pure steps of a call, as generators that yield requests and receive response heads. No I/O, no connections."""
