"""The built-in plugins: they register through the same door as anyone else's."""
