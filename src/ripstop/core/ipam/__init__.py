"""Addresses without a database: a ring of tokens that peers own, and allocation that needs nobody else."""
