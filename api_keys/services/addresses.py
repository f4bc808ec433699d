"""Where keys are used from: by country, with word to the owner when one is new."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import Count, F, Max, Min, OuterRef, Q, Subquery, Value, Window
from django.db.models.functions import Coalesce, RowNumber

from accounts.places import country_of
from api_keys.models import ApiKey, KeyAddress
from api_keys.services.keys import locked
from api_keys.services.notices import mail_owner, mails_new_countries

# What was not used for so long is as good as new.
REMEMBERED_FOR: Final = timedelta(days=90)
SHOWN_AT_MOST: Final = 3
COUNTRY_LENGTH: Final = 120


@dataclass(slots=True)
class Country:
    """A country that a key is used from; without a name where nobody knows."""

    name: str
    count: int
    first_used_at: datetime
    last_used_at: datetime
    newest: list[str] = field(default_factory=list)  # A few of its addresses.

    @property
    def more(self) -> int:
        return self.count - len(self.newest)


def addresses_of(key: ApiKey) -> list[Country]:
    """Say which countries a key was used from, the latest first, however many addresses."""
    rows = KeyAddress.of(key.team).filter(key=key).annotate(name=Coalesce("country", Value("")))
    sums = rows.values("name").annotate(
        count=Count("pk"), first_used_at=Min("first_used_at"), last_used_at=Max("last_used_at")
    )
    countries = [Country(**row) for row in sums.order_by("-last_used_at", "name")]
    by_name = {country.name: country for country in countries}
    place = Window(
        RowNumber(), partition_by=[F("name")], order_by=[F("last_used_at").desc(), F("pk").desc()]
    )
    newest = rows.annotate(place=place).filter(place__lte=SHOWN_AT_MOST).order_by("place")
    for name, ip in newest.values_list("name", "ip"):
        by_name[name].newest.append(ip)
    return countries


def look_up_countries() -> None:
    """Find the countries of new addresses, and mail a key's owner about one that is new to it.

    There is nothing to compare the first one with, and a country that is not known is never new.
    """
    waiting = KeyAddress.across_teams.filter(country=None).order_by("key_id")
    for key_id in list(waiting.values_list("key_id", flat=True).distinct()):
        _look_up(key_id)


def _look_up(key_id: UUID) -> None:
    rows = KeyAddress.across_teams.filter(key=key_id)
    new = list(rows.filter(country=None).order_by("first_used_at", "pk"))
    # Before the lock, because the first look-up of a process loads the data.
    of_country: defaultdict[str, list[KeyAddress]] = defaultdict(list)
    for address in new:
        of_country[country_of(address.ip)[:COUNTRY_LENGTH]].append(address)
    _tell(key_id, {name: found[0] for name, found in of_country.items() if name})
    # The rest are only written down, without the lock, which would keep use from being noted.
    for name, found in of_country.items():
        rows.filter(pk__in=[address.pk for address in found], country=None).update(country=name)


def _tell(key_id: UUID, firsts: Mapping[str, KeyAddress]) -> None:
    """Write down the first addresses of these countries, and mail about those that are new."""
    with transaction.atomic():
        # Two workers would both find a country new.
        key = locked(key_id)
        rows = KeyAddress.across_teams.filter(key=key_id)
        countries = rows.order_by("country").values_list("country", flat=True).distinct()
        known = {country for country in countries if country}
        new = [(name, address) for name, address in firsts.items() if name not in known]
        for name, address in new:
            address.country = name
            rows.filter(pk=address.pk).update(country=name)
        # The first of all has nothing to be compared with.
        to_tell = new if known else new[1:]
        if to_tell and not key.deleted_at and mails_new_countries(key.team):
            for _, address in to_tell:
                mail_owner(key, "api_keys/email/new_country", address=address)


def prune_addresses(*, now: datetime) -> None:
    """Forget addresses that were not used for 90 days, but not a living key's last one.

    With nothing to compare it with, nobody would be told when a key that was long unused, and
    perhaps forgotten, is used by somebody else.
    """
    of_key = KeyAddress.across_teams.filter(key=OuterRef("key"))
    last = of_key.order_by("-last_used_at", "-pk").values("pk")[:1]
    KeyAddress.across_teams.filter(last_used_at__lt=now - REMEMBERED_FOR).exclude(
        Q(pk=Subquery(last)) & Q(key__deleted_at=None)
    ).delete()
