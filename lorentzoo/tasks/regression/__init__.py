"""Numbers of events: predictions, metrics and figures."""
