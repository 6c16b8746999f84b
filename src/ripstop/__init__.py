"""Ripstop: a container network that makes many hosts one Ethernet switch."""

__version__ = "0.1.0"
