"""Points of phase space, their weights, and maps to the unit hypercube."""
