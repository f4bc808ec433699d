"""The product from outside: a real console, a real browser, real clients."""
