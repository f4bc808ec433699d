"""Who a team's invoices are made out to: name, address and tax number, kept and copied."""

from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Final

from django.db import transaction

from accounts import services as accounts
from accounts.actors import Actor
from accounts.models import Team, User
from audit import services as audit
from billing.models import BillingDetails
from billing.services.countries import countries
from billing.services.tax_ids import compact, printed, tax_id_types

# Where the postal code stands behind the city, also if no state is named between them.
CODE_BEHIND_CITY: Final = frozenset(
    {"AU", "CA", "CN", "GB", "HK", "IE", "IN", "JP", "KR", "NZ", "SG", "TH", "TW", "US", "ZA"}
)


class DetailsChangedError(Exception):
    """Somebody else saved other details since the form was opened."""

    def __init__(self) -> None:
        super().__init__(
            "The billing details were changed since you opened this form. Your entries are still "
            "here: compare them with what is saved now, and save again if they are right."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What a team has saved for its invoices."""

    name: str
    email: str
    line1: str
    line2: str = ""
    city: str
    state: str = ""
    postal_code: str = ""
    country: str
    tax_id_type: str = ""
    tax_number: str = ""
    changed_at: datetime | None = None

    @property
    def address(self) -> list[str]:
        """The lines of the address, as they are printed."""
        if self.state:
            city = f"{self.city}, {self.state} {self.postal_code}"
        elif self.country in CODE_BEHIND_CITY:
            city = f"{self.city} {self.postal_code}"
        else:
            city = f"{self.postal_code} {self.city}"
        lines = (self.line1, self.line2, city.strip(), countries().get(self.country, self.country))
        return [line for line in lines if line]

    @property
    def tax_id(self) -> dict[str, str] | None:
        """The tax number as it is printed, and what kind it is."""
        if not self.tax_id_type:
            return None
        kind = tax_id_types()[self.tax_id_type]
        return {
            "type": kind.code,
            "name": f"{kind.name} ({kind.place})",
            "number": printed(kind, self.tax_number),
        }

    @property
    def version(self) -> str:
        """Which saved details these are."""
        return self.changed_at.isoformat() if self.changed_at else ""

    @property
    def values(self) -> dict[str, str]:
        """Everything that people typed."""
        return {name: value for name, value in asdict(self).items() if name != "changed_at"}


_COLUMNS: Final = tuple(field.name for field in fields(Details))


def details(team: Team) -> Details | None:
    """Read what the team's invoices are made out to; None before anybody has said it."""
    row = BillingDetails.of(team).values(*_COLUMNS).first()
    return Details(**row) if row else None


@transaction.atomic
def save_details(
    *, team: Team, actor: Actor, details: Details, seen_at: datetime | None, now: datetime
) -> None:
    """Keep what the team's next invoices are made out to. Those that are issued stay as they are.

    `seen_at` is the `changed_at` of the details that the person had before them. To save what is
    saved already changes nothing, whatever they saw: a form sent twice is one change.

    Raises TaxNumberError, DetailsChangedError, and accounts.TeamClosedError.
    """
    accounts.lock_team(team)  # Two that save at once, and the team that ends meanwhile.
    if details.tax_id_type:
        kind = tax_id_types()[details.tax_id_type]
        number = compact(kind, details.tax_number, country=details.country)
    else:
        number = ""
    after = details.values | {"tax_number": number}
    row = BillingDetails.of(team).first()
    before = {name: getattr(row, name) for name in after} if row else {}
    if before == after:
        return
    if row and row.changed_at != seen_at:
        raise DetailsChangedError
    row, _ = BillingDetails.across_teams.update_or_create(
        team=team, defaults={**after, "changed_at": now}
    )
    changed = [name for name in after if before.get(name, "") != after[name]]
    audit.record(
        team=team,
        actor=actor,
        operation="SetBillingDetails",
        description=f"Changed the billing details of {team.name}",
        target_type="billing details",
        # Those of a person's own team are about the person, and erased from the log with them.
        target_id=str(actor.user.pk if team.is_personal and actor.user else row.pk),
        target_label=team.name,
        before={name: before.get(name, "") for name in changed},
        after={name: after[name] for name in changed},
        now=now,
    )


def forget_details(*, team: Team) -> None:
    """Delete the details of a team that ends. Its invoices have their copies."""
    BillingDetails.of(team).delete()


def details_of(user: User) -> dict[str, Any] | None:
    """Copy what a person saved for their own team. What a shared team saved is not theirs."""
    saved = details(accounts.personal_team(user))
    return asdict(saved) if saved else None
