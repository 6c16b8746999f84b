"""A simulated clock, network and kernel for whole meshes in one process; imported by tests and bench only."""
