"""The built-in plugins. They come through the door that strangers use: entry points, and `minigrad`'s public names."""
