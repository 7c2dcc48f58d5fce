"""The `minigrad` command: thin commands that parse, call and render."""
