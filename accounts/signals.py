"""News from accounts for whoever is above it. Sent inside the change's transaction."""

from django.dispatch import Signal

# A person came to a page of a team. operation: str, team, actor, outcome: "done" | "denied", now.
team_page_opened = Signal()
# A person changed something that accounts owns.
# operation, team: Team | None, actor, description, target, before: dict, after: dict, now.
account_changed = Signal()
