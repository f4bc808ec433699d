"""`manage.py report_leak`: the same revocation, for who has a secret in hand."""

import sys
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO

import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection

from accounts.actors import SYSTEM
from api_keys import services as api_keys
from api_keys.models import ApiKey, KeyLeak
from api_keys.secrets import new_secret
from api_keys.services import CreatedKey
from audit import services as audit
from tests.factories import NOON, make_admin, make_team

pytestmark = pytest.mark.django_db


def make_key() -> CreatedKey:
    team = make_team()
    return api_keys.create(team=team, actor=SYSTEM, owner=make_admin(team), name="bot", now=NOON)


@pytest.fixture
def typed() -> Iterator[StringIO]:
    """Stand for what is piped into the command."""
    before, piped = sys.stdin, StringIO()
    sys.stdin = piped
    yield piped
    sys.stdin = before


def report(typed: StringIO, *lines: str, **options: str) -> str:
    """Run the command as a script does, and read what it prints."""
    typed.write("\n".join(lines))
    typed.seek(0)
    out = StringIO()
    call_command("report_leak", stdout=out, **options)
    return out.getvalue()


def test_it_blocks_the_keys_tells_their_people_and_names_no_secret(typed: StringIO) -> None:
    created, other = make_key(), make_key()

    said = report(
        typed, f"  {created.secret} ", "", other.secret, url="https://paste.test/7", source="paste"
    )

    assert said == (
        f"…{created.secret[-4:]}: the key is blocked\n…{other.secret[-4:]}: the key is blocked\n"
    )
    assert all(key.status == ApiKey.Status.BLOCKED for key in ApiKey.across_teams.all())
    assert {leak.reporter for leak in KeyLeak.across_teams.all()} == {"staff"}
    assert len(mail.outbox) == 2
    assert "Where: https://paste.test/7 (paste)" in str(mail.outbox[0].body)
    event = audit.log(created.key.team).get(operation="ReportLeakedApiKey")
    assert (event.actor_kind, event.actor_label) == ("staff", "Support, on the command line")


def test_it_says_of_each_what_it_is_and_exits_1_if_one_is_no_keys(typed: StringIO) -> None:
    created, rotated = make_key(), make_key()
    api_keys.rotate(key=rotated.key, actor=SYSTEM, grace=timedelta(0), rotation=0, now=NOON)
    out = StringIO()
    typed.write("\n".join([created.secret, rotated.secret, new_secret("ck"), "ck-noise"]))
    typed.seek(0)

    with pytest.raises(SystemExit, match="1"):
        call_command("report_leak", stdout=out)

    told = [line.partition(": ")[2] for line in out.getvalue().splitlines()]
    assert told == [
        "the key is blocked",
        "worked no more",
        "no key has it",
        "no secret: its checksum does not fit, so it may be cut off or mistyped",
    ]


def test_a_key_that_cannot_be_stopped_keeps_no_other_from_being_stopped(typed: StringIO) -> None:
    stuck, other = make_key(), make_key()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # Else the table could not be altered.
        cursor.execute(
            "ALTER TABLE api_keys_apikey"
            " ADD CONSTRAINT stuck CHECK (id <> %s OR blocked_at IS NULL)",
            [stuck.key.pk],
        )

    with pytest.raises(IntegrityError, match="stuck"):
        report(typed, stuck.secret, other.secret)

    assert ApiKey.of(stuck.key.team).get().status == ApiKey.Status.ACTIVE
    assert ApiKey.of(other.key.team).get().status == ApiKey.Status.BLOCKED
    assert len(mail.outbox) == 1, "to the people of the one that was stopped"


@pytest.mark.parametrize("option", ["url", "source"])
def test_a_secret_among_the_arguments_is_refused(typed: StringIO, option: str) -> None:
    with pytest.raises(CommandError, match="It has a secret in it"):
        call_command("report_leak", f"--{option}=https://x.test/{new_secret('ck')}")

    assert typed.tell() == 0


def test_it_takes_no_secret_as_an_argument() -> None:
    with pytest.raises(CommandError, match="unrecognized arguments"):
        call_command("report_leak", new_secret("ck"))


def test_nothing_to_report_is_an_error(typed: StringIO) -> None:
    with pytest.raises(CommandError, match="No secret was given on standard input"):
        report(typed, "", "  ")
