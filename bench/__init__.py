"""Measures containers on a Ripstop network against the bare underlay and against kernel VXLAN with a Linux bridge.

One run measures all ways in turn, round by round, on one machine, so that ratios mean something where absolute
numbers do not.  `docs/benchmarks.md` says what is measured how, and why.
"""
