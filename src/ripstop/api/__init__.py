"""What the daemon answers on its unix socket."""
