"""What a person says about themselves: a name, and where their clock is."""

from datetime import datetime

from django.db import transaction

from accounts.actors import Actor
from accounts.models import User
from accounts.services.people import announce


@transaction.atomic
def update_profile(*, user: User, name: str, timezone: str, actor: Actor, now: datetime) -> None:
    """Change how a person is called and in which zone they read times."""
    wanted = {"name": name, "timezone": timezone}
    # Two tabs may save at once; each must say truly what it changed.
    known = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    before = {field: getattr(known, field) for field in wanted}
    changed = [field for field in wanted if before[field] != wanted[field]]
    for field, value in wanted.items():
        setattr(user, field, value)
    if not changed:
        return
    user.save(update_fields=changed)
    announce(
        operation="UpdateProfile",
        description="Changed the profile",
        user=user,
        before={field: before[field] for field in changed},
        after={field: wanted[field] for field in changed},
        actor=actor,
        now=now,
    )
