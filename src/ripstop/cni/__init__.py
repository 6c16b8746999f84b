"""The plugin that container runtimes start: a file of its own, which imports nothing of ours."""
