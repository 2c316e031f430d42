"""Models as files that run without Python or without this package: graphs, checks, and what lies beside them."""
