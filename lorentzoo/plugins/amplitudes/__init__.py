"""Amplitudes: exact matrix elements at tree level, phase space, and data sets of both."""
