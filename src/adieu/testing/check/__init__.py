"""The kit for people who write adapters: scenarios as data, each bound to the invariant that it shows."""
