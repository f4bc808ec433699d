"""Benchmarks: each module prints a table and, last, one JSON line with a ratio against a peer."""
