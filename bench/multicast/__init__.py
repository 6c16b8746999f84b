"""Measures multicast: how fast, how many copies, what is lost, how long it takes, and with how many groups.

Parts are rates, copies, loss, latency and scale; `docs/benchmarks.md`, section Multicast, says what is measured how.
"""
