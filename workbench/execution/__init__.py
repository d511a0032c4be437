"""Where work runs: stage locks, a life tied to the parent's, and warm processes for stages."""
