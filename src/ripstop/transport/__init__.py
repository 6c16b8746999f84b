"""Sockets of the control plane."""
