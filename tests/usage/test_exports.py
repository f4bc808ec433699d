"""Files of single requests: small ones at once, large ones by a job."""

import json
from threading import Event
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.core import mail
from django.db import connection, transaction
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext
from procrastinate.contrib.django.models import ProcrastinateJob

from accounts.actors import SYSTEM
from accounts.models import Team, User
from api_keys import services as api_keys
from audit.models import AuditEvent
from tests.billing.pages import text
from tests.factories import NOON, make_admin, make_team
from tests.races import race
from tests.servers import DEADLINE_SECONDS
from tests.usage.exporting import DAY, MINUTE, ask, cancel_for, finish, make, page, rows
from tests.usage.requests import make_record
from usage import services as usage
from usage.models import UsageEvent, UsageExport, UsageExportPart
from usage.rules.filters import read
from usage.rules.requests import Search
from usage.services.exports import MOST_AT_ONCE
from usage.tasks import make_export

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("alice")]


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

    # Also a job that lives may look for some minutes.
    usage.sweep_exports(now=NOON + 10 * MINUTE)
    assert fetch_job()["task"] is None
    usage.sweep_exports(now=NOON + 20 * MINUTE)

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


def test_a_job_that_another_has_overtaken_leaves_the_file_to_it(team: Team, alice: User) -> None:
    make(team, 2)
    export = ask(team, alice)
    usage.advance_export(export.pk, now=NOON)
    others: list[bool] = []

    def overtake(execute: Any, sql: str, *rest: Any) -> Any:
        if 'FROM "usage_usageevent"' in sql and not others:
            others.append(True)
            others[0] = usage.advance_export(export.pk, now=NOON)
        return execute(sql, *rest)

    with connection.execute_wrapper(overtake):
        goes_on = usage.advance_export(export.pk, now=NOON)

    assert (goes_on, others) == (False, [True])
    assert finish(export).rows_done == 2


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
