"""The audit log as its readers see it: pages of events, and one event in a sheet."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from accounts.actors import SYSTEM, Actor
from accounts.models import Team
from accounts.rules import Permission
from audit import services as audit
from audit.models import AuditEvent
from audit.views import PAGE_SIZE
from tests.factories import NOON, make_admin, make_member, make_team, make_user

pytestmark = pytest.mark.django_db

SHEET = {"HX-Request": "true", "HX-Target": "event-sheet"}
EVENTS = {"HX-Request": "true", "HX-Target": "events"}


def log_url(team: Team) -> str:
    return reverse("audit:log", args=[team.pk])


def event_url(team: Team, event: AuditEvent) -> str:
    return reverse("audit:event", args=[team.pk, event.pk])


def change(team: Team, *, times: int = 1) -> None:
    """Write events an hour and more before NOON, so that they lie under what a test reads."""
    for serial in range(times):
        audit.record(
            team=team,
            actor=SYSTEM,
            operation="RenameTeam",
            description=f"Renamed the team to name {serial:03}",
            before={"name": "Old", "colour": "red", "limit_ticks": 10_000_000_000},
            after={"name": "<b>New</b>", "colour": "red", "limit_ticks": 20_000_000_000},
            now=NOON - timedelta(hours=1, seconds=times - serial),
        )


@pytest.fixture
def team(client: Client) -> Team:
    """Make a team whose admin is signed in."""
    team = make_team()
    client.force_login(make_admin(team, "Alice Moreau"))
    return team


def test_the_log_says_who_did_what(client: Client, team: Team) -> None:
    bob = make_member(team, name="Bob Tanaka")
    audit.record(
        team=team,
        actor=Actor.for_user(bob, ip="198.51.100.8"),
        operation="CreateApiKey",
        description="Created the API key returns-bot",
        now=NOON,
    )

    page = client.get(log_url(team)).content.decode()

    for words in ("CreateApiKey", "Created the API key returns-bot", "Bob Tanaka", "198.51.100.8"):
        assert words in page
    assert "1 Mar 2026, 12:00:00" in page


def test_the_log_counts_what_it_shows(client: Client, team: Team) -> None:
    change(team)
    one = client.get(log_url(team)).content.decode()
    change(team)
    more = client.get(log_url(team)).content.decode()

    assert "1 event, newest first" in one
    assert "3 events, newest first" in more  # The first reading is one of them.


def test_reading_the_log_is_written_in_the_log_once(client: Client, team: Team) -> None:
    client.get(log_url(team), headers={"User-Agent": "Firefox 148"}, REMOTE_ADDR="203.0.113.24")

    event = audit.log(team).get()
    assert (event.operation, event.description) == ("ListAuditEvents", "Listed audit events")
    assert (event.actor_label, event.ip) == ("Alice Moreau", "203.0.113.24")
    assert (event.user_agent, event.outcome, event.is_change) == ("Firefox 148", "done", False)


def test_a_member_without_permission_is_refused_and_that_is_recorded(
    client: Client, team: Team
) -> None:
    client.force_login(make_member(team))

    assert client.get(log_url(team)).status_code == 403

    event = audit.log(team).get()
    assert (event.outcome, event.description) == ("denied", "Tried to list audit events")


def test_a_member_who_was_given_the_permission_reads_the_log(client: Client, team: Team) -> None:
    client.force_login(make_member(team, extra=[Permission.AUDIT_READ]))

    assert client.get(log_url(team)).status_code == 200


def test_a_stranger_finds_nothing_and_leaves_nothing(client: Client, team: Team) -> None:
    client.force_login(make_user())

    assert client.get(log_url(team)).status_code == 404

    assert not audit.log(team).exists()


def test_an_empty_log_says_what_it_is_for(client: Client, team: Team) -> None:
    assert b"No events yet" in client.get(log_url(team)).content


def shown(client: Client, url: str) -> list[str]:
    return [event.description for event in client.get(url).context["page"]["events"]]


def test_older_and_newer_walk_the_whole_log_without_gap_or_repeat(
    client: Client, team: Team
) -> None:
    change(team, times=2 * PAGE_SIZE + 10)
    everything = list(audit.log(team).values_list("description", flat=True))
    seen = []
    page = client.get(log_url(team)).context["page"]
    assert not page["pager"].newer
    while True:
        # What the reading itself leaves behind is newer than the page it came from.
        seen += [e.description for e in page["events"] if e.operation == "RenameTeam"]
        if not page["pager"].older:
            break
        back = page
        page = client.get(page["pager"].older).context["page"]
        # From every page, Newer leads to the page it was left for.
        returned = client.get(page["pager"].newer).context["page"]
        assert [e.pk for e in returned["events"]][-3:] == [e.pk for e in back["events"]][-3:]

    assert seen == everything


def test_events_of_the_same_instant_are_not_lost_between_pages() -> None:
    team = make_team()
    for serial in range(5):
        audit.record(team=team, actor=SYSTEM, operation=f"Nr{serial}", description="x", now=NOON)

    first = audit.page(team, size=2)
    second = audit.page(team, size=2, older_than=first.events[-1].pk)
    third = audit.page(team, size=2, older_than=second.events[-1].pk)
    back = audit.page(team, size=2, newer_than=third.events[0].pk)

    names = [event.operation for page in (first, second, third) for event in page.events]
    assert names == ["Nr4", "Nr3", "Nr2", "Nr1", "Nr0"]
    assert (first.has_newer, first.has_older) == (False, True)
    assert (third.has_newer, third.has_older) == (True, False)
    assert back == second


def test_an_unknown_place_in_the_log_shows_its_newest_page(client: Client, team: Team) -> None:
    change(team)

    for nonsense in ("?older=x", f"?older={uuid4()}", "?newer=%00"):
        assert "Renamed the team to name 000" in shown(client, log_url(team) + nonsense)


def test_htmx_gets_only_the_events(client: Client, team: Team) -> None:
    response = client.get(log_url(team), headers=EVENTS)

    assert response.content.strip().startswith(b'<div id="events"')


def test_an_event_has_an_address_that_shows_it_over_the_log(client: Client, team: Team) -> None:
    change(team, times=2)
    event = audit.log(team)[0]

    page = client.get(event_url(team, event)).content.decode()

    assert '<dialog id="event"' in page
    assert str(event.pk) in page
    assert "Renamed the team to name 000" in page  # The log lies under the sheet.


def test_htmx_gets_only_the_sheet_and_the_log_is_not_asked(client: Client, team: Team) -> None:
    change(team)
    event = audit.log(team).get()

    with CaptureQueriesContext(connection) as queries:
        response = client.get(event_url(team, event), headers=SHEET)

    assert response.content.strip().startswith(b'<div id="event-sheet"')
    reads = [q["sql"] for q in queries if "ORDER BY" in q["sql"] and "audit_auditevent" in q["sql"]]
    assert len(reads) <= 1


def test_a_sheet_sets_what_was_beside_what_is(client: Client, team: Team) -> None:
    change(team)

    sheet = client.get(event_url(team, audit.log(team).get()), headers=SHEET).content.decode()

    assert "<del>Old</del>" in sheet
    assert "<ins>&lt;b&gt;New&lt;/b&gt;</ins>" in sheet
    assert "<del>$1.00</del>" in sheet
    assert "<ins>$2.00</ins>" in sheet
    assert "<del>red</del>" not in sheet


def test_opening_an_event_is_recorded_as_such(client: Client, team: Team) -> None:
    change(team)

    client.get(event_url(team, audit.log(team).get()), headers=SHEET)

    assert audit.log(team)[0].description == "Viewed audit event"


def test_an_event_of_another_team_is_not_found(client: Client, team: Team) -> None:
    change(other := make_team())

    response = client.get(event_url(team, audit.log(other).get()))

    assert response.status_code == 404


def test_an_event_whose_person_is_gone_still_opens(client: Client, team: Team) -> None:
    bob = make_member(team, name="Bob Tanaka")
    audit.record(
        team=team, actor=Actor.for_user(bob), operation="X", description="Did it", now=NOON
    )
    event = audit.log(team).get()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM accounts_membership WHERE user_id = %s", [bob.pk])
        cursor.execute("DELETE FROM accounts_user WHERE id = %s", [bob.pk])

    sheet = client.get(event_url(team, event), headers=SHEET).content.decode()

    assert "Bob Tanaka" in sheet


def test_a_full_page_costs_no_more_queries_than_a_short_one(
    client: Client, team: Team, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    change(team)
    client.get(log_url(team))
    with CaptureQueriesContext(connection) as short:
        client.get(log_url(team))

    change(team, times=PAGE_SIZE)

    with django_assert_num_queries(len(short)):
        client.get(log_url(team))


def test_the_log_cannot_be_written_to(client: Client, team: Team) -> None:
    change(team)

    assert client.post(log_url(team)).status_code == 405
    assert client.post(event_url(team, audit.log(team).get())).status_code == 405
