"""Densities of events: samples beside true events, and how they differ."""
