"""Sign-ins: which are new to an account, and the mail that tells of them."""

from datetime import datetime, timedelta
from typing import Final

from allauth.account.adapter import get_adapter
from django.db import transaction

from accounts.actors import Actor
from accounts.models import SignIn, User
from accounts.places import place_of
from accounts.services.people import announce
from accounts.user_agents import device_of

# What was not used for so long is as good as new.
REMEMBERED_FOR: Final = timedelta(days=180)


@transaction.atomic
def note_sign_in(*, user: User, actor: Actor, now: datetime) -> SignIn:
    """Keep where a sign-in came from, and tell its person by mail if they want to know.

    They do where the device or the place is new; or each time, if they set it so. There is nothing
    to compare the first one with. A place that is not known is never new.
    """
    sign_in = SignIn(
        user=user,
        at=now,
        ip=actor.ip,
        device=device_of(actor.user_agent),
        place=place_of(actor.ip),
    )
    known = SignIn.objects.filter(user=user, at__gt=now - REMEMBERED_FOR)
    before = set(known.values_list("device", "place").distinct())
    sign_in.save()
    if user.sign_in_mail == User.SignInMail.EACH or _is_new(sign_in, before):
        get_adapter().send_mail(
            "accounts/email/sign_in", user.email, {"user": user, "sign_in": sign_in}
        )
    return sign_in


def _is_new(sign_in: SignIn, before: set[tuple[str, str]]) -> bool:
    if not before:
        return False
    devices, places = ({pair[part] for pair in before} for part in (0, 1))
    return sign_in.device not in devices or bool(sign_in.place and sign_in.place not in places)


def forget_sign_ins(*, now: datetime) -> None:
    """Delete what no sign-in is compared with any more."""
    SignIn.objects.filter(at__lt=now - REMEMBERED_FOR).delete()


@transaction.atomic
def set_sign_in_mail(*, user: User, chosen: User.SignInMail, actor: Actor, now: datetime) -> None:
    """Keep which sign-ins a person is told of."""
    locked = User.objects.select_for_update().get(pk=user.pk)
    before = User.SignInMail(locked.sign_in_mail)
    if chosen == before:
        return
    user.sign_in_mail = chosen
    user.save(update_fields=["sign_in_mail"])
    announce(
        operation="SetSignInMail",
        description="Changed which sign-ins are told by mail",
        user=user,
        before={"mail": before.label},
        after={"mail": chosen.label},
        actor=actor,
        now=now,
    )
