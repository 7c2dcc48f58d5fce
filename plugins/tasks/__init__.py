"""The built-in tasks, a file each."""
