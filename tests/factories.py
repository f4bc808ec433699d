"""Small worlds for tests. Each function makes one thing and whatever it cannot exist without."""

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count

from allauth.mfa.models import Authenticator
from django.test import Client

from accounts.actors import SYSTEM
from accounts.models import Membership, Team, User
from accounts.rules import Permission
from billing import services as billing
from billing.models import CreditGrant
from billing.rules import ticks_from_usd

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PASSWORD = "plain-sailing-42"

_serial = count(1)


def make_user(name: str = "") -> User:
    serial = next(_serial)
    return User.objects.create_user(f"person-{serial}@example.test", PASSWORD, name=name)


def make_team(name: str = "") -> Team:
    return Team.objects.create(name=name or f"Team {next(_serial)}", created_at=NOON)


def make_member(
    team: Team,
    role: Membership.Role = Membership.Role.MEMBER,
    extra: Iterable[Permission] = (),
    name: str = "",
) -> User:
    user = make_user(name)
    Membership.objects.create(
        team=team, user=user, role=role, extra_permissions=list(extra), joined_at=NOON
    )
    return user


def make_admin(team: Team, name: str = "") -> User:
    return make_member(team, Membership.Role.ADMIN, name=name)


def sign_in_staff(client: Client) -> Client:
    """Sign in as staff who passed a second factor."""
    user = User.objects.create_superuser("sam@example.test", PASSWORD, name="Sam Support")
    factor = Authenticator.objects.create(user=user, type=Authenticator.Type.TOTP, data={})
    client.force_login(user)
    session = client.session
    session["otp_device_id"] = f"accounts.factor/{factor.pk}"
    session.save()
    return client


def make_funded_team(*, usd: str | None = None, ticks: int | None = None) -> Team:
    """Fund a team through the service, so that grants and ledger agree from the start."""
    team = make_team()
    amount = ticks if ticks is not None else ticks_from_usd(Decimal(usd or "25"))
    billing.grant(
        team=team,
        actor=SYSTEM,
        kind=CreditGrant.Kind.PREPAID,
        amount_ticks=amount,
        label="Funding",
        idempotency_key="funding",
        expires_at=None,
        now=NOON,
    )
    return team
