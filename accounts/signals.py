"""News from accounts for whoever is above it. Sent inside the change's transaction."""

from datetime import datetime
from typing import Any

from django.db.models import Model
from django.dispatch import Signal

from accounts.actors import Actor
from accounts.models import Team

# A person came to a page of a team. operation: str, team, actor, outcome: "done" | "denied", now.
team_page_opened = Signal()
# A person changed something that accounts owns.
# operation, team: Team | None, actor, description, target, before: dict, after: dict, now. Sent by
# `announce`.
#
# CreateTeam carries the new team. What a person does with their account alone (SignIn, ChangeEmail,
# AddFactor and the like) carries their personal team, so that they find it in a log of their own
# and their colleagues do not. Failed attempts to sign in are not announced:
# nobody is known then whose team could be told.
account_changed = Signal()


def announce(
    *,
    operation: str,
    description: str,
    team: Team,
    target: Model,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    actor: Actor,
    now: datetime,
) -> None:
    """Tell the audit log that something changed in a team, or was done there."""
    account_changed.send(
        sender=type(target),
        operation=operation,
        description=description,
        team=team,
        target=target,
        before=before or {},
        after=after or {},
        actor=actor,
        now=now,
    )


# --- Before something ends: what will it take with it?
#
# A receiver answers with a list of `consequences.Consequence`. Those that block stop it.

# team: Team, now.
team_closing = Signal()
# team: Team, user: User (the member who goes), now.
member_leaving = Signal()
# user: User, team: Team (the personal one), now.
account_closing = Signal()

# --- When it ends, in the same transaction. A receiver that raises stops it.

# team: Team, actor, now. Its keys stop, its credits are forfeited.
team_closed = Signal()
# user, team: Team (the personal one), actor, now. Its keys stop; nothing is lost yet.
account_closed = Signal()
# user (already blank), team: Team (the personal one), known: services.KnownAs, now.
person_erased = Signal()

# --- For the person's own copy of their data. user, now.
#
# A receiver answers with a dict of JSON: {"api_keys": [...]}.
personal_data_asked = Signal()
