"""Files of single requests: small ones at once, large ones by a job, and only for their team."""

import csv
import json
from datetime import timedelta
from io import StringIO
from threading import Event
from typing import Any
from uuid import UUID, uuid4

import pytest
import time_machine
from asgiref.sync import async_to_sync
from django.core import mail
from django.db import connection, transaction
from django.http import QueryDict
from django.test import AsyncClient, Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from procrastinate.contrib.django.models import ProcrastinateJob

from accounts.actors import SYSTEM, Actor
from accounts.models import Membership, Team, User
from accounts.rules import Permission
from api_keys import services as api_keys
from audit.models import AuditEvent
from tests.billing.pages import text
from tests.factories import NOON, make_admin, make_member, make_team
from tests.races import race
from tests.servers import DEADLINE_SECONDS
from tests.usage.requests import make_record
from usage import services as usage
from usage.models import UsageEvent, UsageExport, UsageExportPart
from usage.rules.filters import read
from usage.rules.requests import Search
from usage.services.exports import MOST_AT_ONCE
from usage.tasks import make_export

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
EVERYTHING = Search(begin=NOON - 40 * DAY, end=NOON + DAY)


@pytest.fixture
def team() -> Team:
    return make_team("Larkspur")


@pytest.fixture(autouse=True)
def alice(team: Team, client: Client) -> User:
    alice = make_admin(team, name="Alice")
    client.force_login(alice)
    return alice


def make(team: Team, count: int, **fields: Any) -> None:
    usage.record([make_record(team, **fields) for _ in range(count)])


def ask(team: Team, user: User, search: Search = EVERYTHING, **fields: Any) -> UsageExport:
    usual: dict[str, Any] = {"export_id": uuid4(), "now": NOON}
    return usage.ask_export(
        team=team, actor=Actor.for_user(user), user=user, search=search, **usual | fields
    )


def finish(export: UsageExport, *, now: Any = NOON) -> UsageExport:
    while usage.advance_export(export.pk, now=now):
        pass
    export.refresh_from_db()
    return export


def cancel_for(team: Team, user: User, export: UsageExport) -> None:
    usage.cancel_export(
        membership=Membership.objects.get(team=team, user=user),
        actor=Actor.for_user(user),
        export_id=export.pk,
        now=NOON,
    )


def rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(content.decode())))


def page(name: str, team: Team, *args: UUID) -> str:
    return reverse(f"usage:{name}", args=[team.pk, *args])


DAYS = "from=2026-02-01&to=2026-03-01"


# --- Small ones


def test_a_small_file_comes_at_once_with_what_the_log_shows(
    client: Client, team: Team, alice: User
) -> None:
    key = api_keys.create(team=team, actor=SYSTEM, owner=alice, name="=cmd()", now=NOON).key
    make(team, 1, key_id=key.pk, first_token_ms=120)
    make(team, 1, model="other", at=NOON - MINUTE)
    make(make_team(), 1)

    answer = client.post(f"{page('exports', team)}?{DAYS}&model=atlas-8b")

    assert 'filename="requests-2026-02-01-to-2026-03-01.csv"' in answer["Content-Disposition"]
    [row] = rows(answer.content)
    told = ("time_utc", "api_key", "model", "status", "streamed", "first_token_ms", "total_ms")
    assert [row[name] for name in told] == [
        "2026-03-01T12:00:00.000000Z",
        "'=cmd()",
        "atlas-8b",
        "200",
        "yes",
        "120",
        "900",
    ]
    assert (row["prompt_text_tokens"], row["prompt_text_usd"]) == ("1000", "0.0002000000")
    assert (row["prompt_image_tokens"], row["cost_usd"]) == ("0", "0.0002500000")
    event = AuditEvent.of(team).get(operation="ExportUsage")
    assert event.description == "Downloaded 1 requests"


def test_a_wrong_address_leads_to_the_page_that_explains_it(client: Client, team: Team) -> None:
    answer = client.post(f"{page('exports', team)}?status=odd", follow=True)

    assert "“odd” is not a status" in text(answer)


# --- Large ones


def test_more_than_ten_thousand_requests_take_a_job(client: Client, team: Team) -> None:
    make(team, 1)
    columns = ", ".join(
        str(field.column) for field in UsageEvent._meta.fields if field.name != "id"
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO usage_usageevent (id, {columns}) SELECT gen_random_uuid(), {columns}"  # noqa: S608 -- from the model
            " FROM usage_usageevent, generate_series(1, %s)",
            [MOST_AT_ONCE],
        )

    form = {"id": str(uuid4())}
    first, answer = (client.post(f"{page('exports', team)}?{DAYS}", form) for _ in range(2))

    assert first.headers["Location"] == answer.headers["Location"] == page("exports", team)
    [export] = UsageExport.of(team)
    assert str(export.pk) == form["id"]
    with time_machine.travel(export.asked_at, tick=False):
        words = text(client.get(page("exports", team)))
    assert "1 Feb to 1 Mar 2026 All requests Now by Alice Waiting" in words


def test_a_file_has_every_request_once_in_however_many_parts_it_was_made(
    team: Team, alice: User
) -> None:
    usage.record([make_record(team, at=NOON - days * DAY) for days in (0, 0, 0, 1, 1, 2, 3)])
    export = ask(team, alice)
    while usage.advance_export(export.pk, now=NOON, part_rows=2):
        pass
    export.refresh_from_db()

    assert (export.state, export.rows_done, export.rows_total) == ("ready", 7, 7)
    assert UsageExportPart.of(team).count() == 4
    content = b"".join(usage.parts_of(export))
    assert len(content) == export.bytes
    newest_first = UsageEvent.of(team).order_by("-at", "-id").values_list("pk", flat=True)
    assert [row["request_id"] for row in rows(content)] == [str(pk) for pk in newest_first]


def test_a_file_is_of_the_moment_in_which_its_job_began(team: Team, alice: User) -> None:
    make(team, 3)
    export = ask(team, alice)
    make(team, 1)
    usage.advance_export(export.pk, now=NOON)
    make(team, 1, at=NOON - DAY)

    assert finish(export).rows_done == 4


def test_a_file_that_is_ready_is_told_by_mail_once(team: Team, alice: User) -> None:
    make(team, 2)
    export = finish(ask(team, alice))
    finish(export)

    [message] = mail.outbox
    assert message.to == [alice.email]
    assert message.subject == "Your file of requests of Larkspur is ready"
    assert page("exports", team) in str(message.body)


def test_to_ask_twice_for_the_same_is_to_ask_once(team: Team, alice: User) -> None:
    first = ask(team, alice)

    assert ask(team, alice) == first
    assert ask(team, make_admin(team)) != first


def test_a_form_that_was_used_before_asks_anew_for_what_there_is_not(
    team: Team, alice: User
) -> None:
    cancelled, theirs = ask(team, alice), ask(make_team(), alice)
    cancel_for(team, alice, cancelled)

    again = ask(team, alice, export_id=cancelled.pk)
    other = ask(team, alice, Search(begin=NOON - DAY, end=NOON), export_id=theirs.pk)

    assert len({cancelled.pk, theirs.pk, again.pk, other.pk}) == 4
    assert [again.team, other.team] == [team, team]


def test_a_worker_that_is_killed_keeps_no_other_file_waiting(team: Team, alice: User) -> None:
    ask(team, alice)

    # A lock of the queue's would stay with the job of a worker that is gone.
    jobs = ProcrastinateJob.objects.filter(task_name="usage.tasks.make_export")
    assert list(jobs.values_list("lock", flat=True)) == [None]


def test_at_most_three_are_made_at_a_time(team: Team, alice: User) -> None:
    searches = [Search(begin=NOON - days * DAY, end=NOON) for days in range(1, 5)]
    made = [ask(team, alice, search) for search in searches[:3]]
    with pytest.raises(usage.TooManyExportsError, match="3 files are being made for this team"):
        ask(team, alice, searches[3])
    finish(made[0])
    ask(team, alice, searches[3])


def fetch_job() -> dict[str, Any]:
    """Take the next job from the queue as a worker does, and leave it `doing`, of no worker."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT task_name, args FROM procrastinate_fetch_job_v2(NULL, NULL)")
        task, args = cursor.fetchone()
    return {"task": task, **(json.loads(args) if task else {})}


def test_a_job_that_died_is_gone_on_with(team: Team, alice: User) -> None:
    make(team, 2)
    export = ask(team, alice)
    died = fetch_job()
    usage.advance_export(export.pk, now=NOON)

    usage.sweep_exports(now=NOON + MINUTE)
    assert fetch_job()["task"] is None
    usage.sweep_exports(now=NOON + 5 * MINUTE)

    assert fetch_job() == died == {"task": "usage.tasks.make_export", "export_id": str(export.pk)}
    make_export(export_id=died["export_id"])
    export.refresh_from_db()
    assert (export.state, export.rows_done) == ("ready", 2)


@pytest.mark.django_db(transaction=True)
def test_a_file_waits_for_whoever_goes_on_writing_requests(team: Team, alice: User) -> None:
    export = ask(team, alice)
    is_writing, may_commit = Event(), Event()

    def write() -> None:
        with transaction.atomic():
            make(team, 1)
            is_writing.set()
            may_commit.wait(DEADLINE_SECONDS)

    def begin() -> None:
        is_writing.wait(DEADLINE_SECONDS)
        try:
            make_export(export_id=str(export.pk))
        finally:
            may_commit.set()

    race(write, begin)
    export.refresh_from_db()
    assert export.state == "waiting"
    usage.sweep_exports(now=NOON + 5 * MINUTE)
    assert finish(export).rows_done == 1


def test_a_file_is_cancelled_while_its_requests_are_looked_for(team: Team, alice: User) -> None:
    make(team, 2)
    export = ask(team, alice)
    usage.advance_export(export.pk, now=NOON)
    cancelled: list[str] = []

    def cancel(execute: Any, sql: str, *rest: Any) -> Any:
        if 'FROM "usage_usageevent"' in sql and not cancelled:
            cancelled.append(sql)
            cancel_for(team, alice, export)
        return execute(sql, *rest)

    with connection.execute_wrapper(cancel):
        assert usage.advance_export(export.pk, now=NOON) is False
    assert cancelled
    assert finish(export).state == "cancelled"


def test_requests_are_counted_before_the_team_is_locked(team: Team, alice: User) -> None:
    with CaptureQueriesContext(connection) as asked:
        ask(team, alice)

    statements = [query["sql"] for query in asked]
    locks = [place for place, sql in enumerate(statements) if "FOR" in sql and "UPDATE" in sql]
    counts = [place for place, sql in enumerate(statements) if "usage_usagefeed" in sql]
    assert counts
    assert max(counts) < min(locks)


def test_a_file_whose_requests_were_dropped_meanwhile_says_so(
    client: Client, team: Team, alice: User
) -> None:
    usage.record([make_record(team, at=NOON - days * DAY) for days in (0, 1, 2)])
    export = ask(team, alice)
    for _ in range(3):
        usage.advance_export(export.pk, now=NOON, part_rows=1)
    UsageEvent.of(team).filter(at__lt=NOON - DAY).delete()

    assert finish(export).rows_gone == 1
    sentence = "1 more was dropped while it was made"
    assert sentence in str(mail.outbox[0].body)
    with time_machine.travel(NOON, tick=False):
        assert sentence in text(client.get(page("exports", team)))


def test_the_list_and_the_sweep_ask_the_same_for_many_files_as_for_one(
    client: Client, team: Team, alice: User
) -> None:
    def queries() -> list[int]:
        with time_machine.travel(NOON, tick=False), CaptureQueriesContext(connection) as listed:
            client.get(page("exports", team))
        with CaptureQueriesContext(connection) as swept:
            usage.sweep_exports(now=NOON)
        return [len(listed), len(swept)]

    def asked(days: int) -> Search:
        filters = read(QueryDict(f"api_key={uuid4()}"))
        return Search(begin=NOON - days * DAY, end=NOON, filters=filters)

    finish(ask(team, alice, asked(1)))
    queries()  # Whatever is only asked the first time.
    one = queries()
    for days in range(2, 8):
        finish(ask(team, alice, asked(days)))

    assert queries() == one


def test_a_file_that_failed_says_so_and_can_be_tried_again(
    client: Client, team: Team, alice: User
) -> None:
    make(team, 2)
    export = ask(team, alice)
    usage.advance_export(export.pk, now=NOON)
    usage.fail_export(export.pk, now=NOON)
    with time_machine.travel(NOON, tick=False):
        words = text(client.get(page("exports", team)))
        assert "Failed Something went wrong here after 0 requests. Try again" in words

        words = text(client.post(page("retry_export", team, export.pk), follow=True))
        assert "Waiting" in words
    assert finish(export).state == "ready"


def test_a_file_that_is_cancelled_leaves_nothing(client: Client, team: Team, alice: User) -> None:
    make(team, 2)
    export = ask(team, alice)
    for _ in range(2):
        usage.advance_export(export.pk, now=NOON)

    assert client.post(page("cancel_export", team, export.pk)).status_code == 302

    assert finish(export).state == "cancelled"
    assert not UsageExportPart.of(team).exists()


def test_a_file_is_deleted_after_a_week(team: Team, alice: User) -> None:
    export = finish(ask(team, alice))

    usage.sweep_exports(now=NOON + 7 * DAY - MINUTE)
    assert UsageExport.of(team).filter(pk=export.pk).exists()
    usage.sweep_exports(now=NOON + 7 * DAY)
    assert not UsageExport.of(team).exists()


def test_a_file_of_too_many_is_refused_with_their_number() -> None:
    assert "6,000,000 requests, and one file holds at most 5,000,000. Choose" in str(
        usage.TooLargeError(6_000_000)
    )


# --- Whose they are


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
