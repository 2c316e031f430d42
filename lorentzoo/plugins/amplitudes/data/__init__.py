"""Data sets of amplitudes: points and their |M|², made on demand or taken from files of events."""
