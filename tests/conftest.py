"""Loads what every test needs; read by pytest before Django's settings are."""

pytest_plugins = ["tests.environment"]
