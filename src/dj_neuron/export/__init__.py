"""Contracts and plain rows to files for other programs."""
