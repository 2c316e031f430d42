"""Classes of events: predictions, metrics, tables and figures."""
