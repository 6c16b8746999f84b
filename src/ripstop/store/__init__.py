"""State on disk, in one SQLite transaction at a time."""
