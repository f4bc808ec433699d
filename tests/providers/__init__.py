"""Providers of social accounts for tests: real servers at the edge of the network."""
