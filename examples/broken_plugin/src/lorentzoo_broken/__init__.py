"""Three plugins that fail: while imported, when used, and by what they declare."""
