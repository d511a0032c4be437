"""Releases: earned by gates, written to a log, mirrored in MLflow and in the server's pointer."""
