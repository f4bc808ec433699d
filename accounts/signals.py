"""News from accounts for whoever is above it. Sent inside the change's transaction."""

from django.dispatch import Signal

# A person came to a page of a team. operation: str, team, actor, outcome: "done" | "denied", now.
team_page_opened = Signal()
# A person changed something that accounts owns.
# operation, team: Team | None, actor, description, target, before: dict, after: dict, now.
#
# CreateTeam carries the new team. What a person does with their account alone (SignUp,
# ConfirmEmail, SignIn, SignOut, ResetPassword) carries their personal team, so that they find it
# in a log of their own and their colleagues do not. Failed attempts to sign in are not announced:
# nobody is known then whose team could be told.
account_changed = Signal()
