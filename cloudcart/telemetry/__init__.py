"""What every service measures, writes and passes on: metrics, logs, route templates, the context of a request."""
