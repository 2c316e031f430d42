"""What a network learns of an amplitude: its ratio to something known."""
