"""Pretend hosts as network namespaces on one machine; one implementation for people, demo, tests and benchmarks."""
