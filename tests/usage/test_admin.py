"""Usage in Django's admin: there to be looked up, and nothing else."""

import re
from datetime import timedelta

import pytest
import time_machine
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts.actors import SYSTEM
from accounts.one_by_one import SomeFailedError
from api_keys import services as api_keys
from tests.billing.pages import text
from tests.factories import NOON, make_admin, make_team, sign_in_staff
from tests.usage.requests import make_record
from tests.usage.stores.conftest import AWAY
from usage import services as usage
from usage.models import UsageEvent, UsageFeed

pytestmark = pytest.mark.django_db

FEEDS = "admin:usage_usagefeed_changelist"


@pytest.fixture
def staff(client: Client) -> Client:
    return sign_in_staff(client)


def test_not_even_a_superuser_can_change_what_was_recorded(staff: Client) -> None:
    team = make_team()
    usage.record([make_record(team)])
    usage.feed(now=NOON)

    for row in (UsageEvent.of(team).get(), UsageFeed.objects.get()):
        name = f"admin:usage_{row._meta.model_name}"
        assert staff.get(reverse(f"{name}_add")).status_code == 403
        for page in ("change", "delete"):
            there = reverse(f"{name}_{page}", args=[row.pk])
            assert staff.post(there, {"post": "yes"}).status_code == 403


def test_support_reads_a_request_in_dollars_and_words(staff: Client) -> None:
    team = make_team("Larkspur")
    made = api_keys.create(team=team, actor=SYSTEM, owner=make_admin(team), name="bot", now=NOON)
    usage.record([make_record(team, key_id=made.key.pk, cluster="")])
    api_keys.delete(key=made.key, actor=SYSTEM, now=NOON)
    event = UsageEvent.of(team).get()

    listed = text(staff.get(reverse("admin:usage_usageevent_changelist"), {"q": str(event.pk)}))
    page = text(staff.get(reverse("admin:usage_usageevent_change", args=[event.pk])))

    assert "1 Mar 2026, 12:00 UTC Larkspur atlas-8b None was reached 200 $0.00025" in listed
    assert f"bot (deleted), {made.key.pk}" in page
    assert "Prompt: 1,000 for $0.0002" in page
    assert "First token after: Not measured Took: 0.900 s" in page
    assert "ticks" not in listed + page


def test_staff_see_how_far_each_store_is_and_what_waits_for_it(
    staff: Client, settings: Settings
) -> None:
    team = make_team()
    settings.CLICKHOUSE = AWAY
    usage.record([make_record(team), make_record(team, at=NOON + timedelta(minutes=1))])
    with pytest.raises(SomeFailedError):
        usage.feed(now=NOON + timedelta(minutes=2))
    last = UsageEvent.of(team).latest("seq").seq

    with time_machine.travel(NOON + timedelta(minutes=5), tick=False):
        words = text(staff.get(reverse(FEEDS)))

    assert (
        "ClickHouse Number 0 Never 2, the oldest since 5 minutes (1 Mar 2026, 12:00 UTC)"
        f" PostgreSQL Number {last:,} 1 Mar 2026, 12:02 UTC None"
    ) in re.sub(r"\s", " ", words)


def test_a_store_that_is_given_up_is_not_in_use(staff: Client) -> None:
    UsageFeed.objects.create(store="clickhouse", fed_seq=7)

    assert "ClickHouse, not in use Number 7" in text(staff.get(reverse(FEEDS)))
