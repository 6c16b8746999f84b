"""Addresses: how long one takes, and what the ring of a large mesh weighs."""
