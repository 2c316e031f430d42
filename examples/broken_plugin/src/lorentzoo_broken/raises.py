"""Raises while it is imported."""

raise RuntimeError("this plugin fails on purpose")
