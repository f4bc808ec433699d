"""The embedded server: there for as long as anyone uses it, however its users and itself end."""
