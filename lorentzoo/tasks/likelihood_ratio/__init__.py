"""Ratios of two densities: predictions, metrics and figures."""
