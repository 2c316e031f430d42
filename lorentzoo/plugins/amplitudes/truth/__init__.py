"""Exact squared matrix elements at tree level."""
