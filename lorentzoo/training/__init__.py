"""How a network is trained: recipe, loop, checkpoints, weights to start from, and what it costs."""
