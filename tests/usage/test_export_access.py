"""Files of single requests: who may have them, who did what to them, and until when."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from asgiref.sync import async_to_sync
from django.core import mail
from django.test import AsyncClient, Client

from accounts.models import Membership, Team, User
from accounts.rules import Permission
from audit.models import AuditEvent
from tests.billing.pages import text
from tests.factories import NOON, make_admin, make_member, make_team
from tests.usage.exporting import DAY, MINUTE, ask, finish, make, page, rows
from usage import services as usage
from usage.models import UsageExport, UsageExportPart
from usage.rules.requests import Search

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("alice")]


def test_who_cancels_or_goes_on_with_whose_file_is_written_down(
    client: Client, team: Team, alice: User
) -> None:
    bob = make_member(team, name="Bob", extra=[Permission.USAGE_READ])
    export = ask(team, bob)
    usage.fail_export(export.pk, now=NOON)

    for name in ("retry_export", "cancel_export", "cancel_export", "retry_export"):
        client.post(page(name, team, export.pk))

    whose = "the file of single requests that Bob asked for"
    events = AuditEvent.of(team).filter(operation__endswith="UsageExport").order_by("pk")
    told = events.values_list("operation", "description", "target_id", "user_id")
    assert list(told) == [
        ("RetryUsageExport", f"Went on with {whose}", str(export.pk), alice.pk),
        ("CancelUsageExport", f"Cancelled {whose}", str(export.pk), alice.pk),
    ]


def test_a_table_with_a_wrong_address_is_not_written_down_as_downloaded(
    client: Client, team: Team
) -> None:
    for address, count in (("range=never", 0), ("range=7d", 1)):
        client.get(f"{page('table_csv', team)}?{address}")
        assert AuditEvent.of(team).filter(operation="ExportUsage").count() == count


def test_a_line_of_a_file_that_is_gone_is_asked_for_no_more(client: Client, team: Team) -> None:
    gone = client.get(page("export", team, uuid4()), headers={"HX-Request": "true"})

    assert (gone.status_code, gone.content) == (286, b"")


def fetch(client: Client, team: Team, export: UsageExport) -> int:
    with time_machine.travel(NOON, tick=False):
        return client.get(page("export_file", team, export.pk)).status_code


def test_a_file_is_for_all_of_the_team_who_may_see_usage(
    client: Client, team: Team, alice: User
) -> None:
    export = finish(ask(team, alice))
    bob = make_member(team, extra=[Permission.USAGE_READ])
    client.force_login(bob)
    assert fetch(client, team, export) == 200
    assert client.post(page("cancel_export", team, export.pk)).status_code == 404

    Membership.objects.filter(user=bob).update(extra_permissions=[])
    assert fetch(client, team, export) == 403


def test_a_file_cannot_be_reached_through_another_team(
    client: Client, team: Team, alice: User
) -> None:
    export = finish(ask(team, alice))
    other = make_team()
    client.force_login(make_admin(other))

    for name in ("export", "export_file"):
        assert client.get(page(name, other, export.pk)).status_code == 404
    for name in ("cancel_export", "retry_export"):
        assert client.post(page(name, other, export.pk)).status_code == 404
    assert "No files" in text(client.get(page("exports", other)))


def test_a_file_goes_with_the_permission_of_whoever_asked_for_it(
    client: Client, team: Team
) -> None:
    bob = make_member(team, extra=[Permission.USAGE_READ])
    done, begun = finish(ask(team, bob)), ask(team, bob, Search(begin=NOON - DAY, end=NOON))
    Membership.objects.filter(user=bob).delete()

    assert fetch(client, team, done) == 404
    assert usage.advance_export(begun.pk, now=NOON) is False
    usage.sweep_exports(now=NOON)
    assert not UsageExport.of(team).exists()
    assert not mail.outbox[1:]


def test_a_file_goes_with_an_erased_person_and_with_a_team(team: Team, alice: User) -> None:
    finish(ask(team, alice))
    assert usage.exports_of(alice)[0]["state"] == "ready"
    usage.delete_exports(make_team(), user=alice)
    assert not UsageExport.of(team).exists()

    finish(ask(team, alice))
    usage.delete_exports(team)
    assert not UsageExportPart.of(team).exists()


def test_an_open_page_brings_its_files_up_to_date_and_an_old_one_stops(
    client: Client, team: Team, alice: User
) -> None:
    make(team, 2)
    export = ask(team, alice)
    with time_machine.travel(NOON, tick=False):
        ticket = client.get(page("exports", team)).context["ticket"]
    usage.advance_export(export.pk, now=NOON)
    address, before = page("export", team, export.pk), AuditEvent.of(team).count()
    polled = {"query_params": {"ticket": ticket}, "headers": {"HX-Request": "true"}}
    with time_machine.travel(NOON + MINUTE, tick=False):
        line = client.get(address, **polled)  # type: ignore[arg-type]
        assert "In progress" in text(line)
        assert "every 2s" in line.content.decode()
        assert AuditEvent.of(team).count() == before
        assert client.get(address).headers["Location"] == page("exports", team)
    with time_machine.travel(NOON + timedelta(hours=2), tick=False):
        stopped = client.get(address, **polled)  # type: ignore[arg-type]
        assert "Not brought up to date any more." in text(stopped)
        assert "every 2s" not in stopped.content.decode()


def test_a_file_is_handed_out_piece_by_piece(team: Team, alice: User) -> None:
    make(team, 2)
    export = finish(ask(team, alice))
    browser = AsyncClient()
    browser.force_login(alice)

    async def read() -> bytes:
        answer: Any = await browser.get(page("export_file", team, export.pk))
        return b"".join([part async for part in answer.streaming_content])

    with time_machine.travel(NOON, tick=False):
        assert len(rows(async_to_sync(read)())) == 2
