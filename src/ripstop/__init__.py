"""Ripstop: a container network that makes many hosts one Ethernet switch."""
