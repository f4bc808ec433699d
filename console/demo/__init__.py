"""A world to try the console in: people, teams, and 90 days of usage, made through the services.

What is seen afterwards is what these people would see: every number was charged, and every line
of the audit log belongs to something that was done.
"""

from console.demo.world import build

__all__ = ["build"]
