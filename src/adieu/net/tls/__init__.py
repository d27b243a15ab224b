"""TLS: its settings, the contexts made from them, and TLS over any byte stream."""
