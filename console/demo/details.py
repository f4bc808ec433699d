"""The demo world's billing details: what the receipts of its larger team are made out to."""

from datetime import datetime

from accounts.actors import Actor
from accounts.models import Team, User
from billing import services as billing


def save(team: Team, *, by: User, now: datetime) -> None:
    billing.save_details(
        team=team,
        actor=Actor.for_user(by),
        details=billing.Details(
            name="Larkspur Labs GmbH",
            email="accounts@larkspur.example",
            line1="Torstraße 1",
            postal_code="10119",
            city="Berlin",
            country="DE",
            tax_id_type="eu_vat",
            tax_number="DE136695976",
        ),
        seen_at=None,
        now=now,
    )
