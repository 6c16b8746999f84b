"""Bytes to messages and back: pure functions with one way to fail, ProtocolError."""
