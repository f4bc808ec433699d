"""The shape of input, by where it is asked for."""
