"""Networks of amplitudes: ordered events, and perceptrons on their invariants."""
