"""Ours and the other side in one run: ratios of processor time, never timed tests."""
