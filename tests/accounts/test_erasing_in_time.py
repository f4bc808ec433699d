"""When a person is erased: after 30 days, once, and never together with a restore."""

from datetime import timedelta

import pytest
import time_machine
from django.test import Client
from procrastinate.contrib.django import app

from accounts import services as accounts
from accounts import tasks
from accounts.actors import SYSTEM
from accounts.models import Team, User
from accounts.one_by_one import SomeFailedError
from audit import services as audit
from audit.models import AuditEvent
from billing.models import BillingCycle
from billing.rules import TICKS_PER_USD
from tests.accounts.erasing import ASKED, DUE, EMAIL, acting, ask
from tests.accounts.people import make_person
from tests.factories import NOON
from tests.races import race_behind

pytestmark = pytest.mark.django_db


def test_nobody_is_erased_before_their_30_days_are_over_nor_twice(person: User) -> None:
    ask(person)

    assert accounts.erase_due(now=DUE - timedelta(seconds=1)) == 0
    assert accounts.erase_due(now=DUE) == 1
    assert accounts.erase_due(now=DUE + timedelta(days=1)) == 0


def test_who_was_restored_is_not_erased(person: User) -> None:
    ask(person)
    accounts.restore(user=person, actor=acting(person), now=NOON + timedelta(days=29))

    assert accounts.erase_due(now=DUE + timedelta(days=365)) == 0

    person.refresh_from_db()
    assert person.email == EMAIL


def test_an_account_with_a_debt_waits_and_does_not_keep_others_waiting(
    person: User, caplog: pytest.LogCaptureFixture
) -> None:
    other = make_person()
    ask(person)
    ask(other, ASKED + timedelta(seconds=1))
    BillingCycle.across_teams.create(
        team=accounts.personal_team(person),
        month=NOON.date().replace(day=1),
        charged_ticks=TICKS_PER_USD,
        accrued_ticks=TICKS_PER_USD,
    )

    assert accounts.erase_due(now=DUE + timedelta(days=1)) == 1

    person.refresh_from_db()
    other.refresh_from_db()
    assert (person.erased_at, bool(other.erased_at)) == (None, True)
    assert "still to be invoiced" in caplog.text
    assert EMAIL not in caplog.text


def test_a_failure_is_undone_whole_and_the_job_fails_after_the_rest_is_done(person: User) -> None:
    other = make_person()
    ask(person)
    ask(other, ASKED + timedelta(seconds=1))
    # A row that no code of ours makes, and that keeps the personal team from being found.
    Team.objects.filter(pk=accounts.personal_team(person).pk).update(is_personal=False)

    with pytest.raises(SomeFailedError, match=r"1 could not be done\."):
        accounts.erase_due(now=DUE + timedelta(days=1))

    person.refresh_from_db()
    other.refresh_from_db()
    assert (person.email, person.erased_at) == (EMAIL, None)
    assert other.erased_at is not None


def test_the_job_runs_every_day(person: User) -> None:
    ask(person)
    with time_machine.travel(DUE + timedelta(hours=1)):
        tasks.erase_accounts(timestamp=0)

    person.refresh_from_db()
    assert person.erased_at is not None
    periodic = app.periodic_registry.periodic_tasks.values()
    assert "40 3 * * *" in {p.cron for p in periodic if p.task.name.endswith("erase_accounts")}


@pytest.mark.django_db(transaction=True)
def test_who_restores_first_keeps_the_account_though_the_job_is_at_it_already() -> None:
    user = make_person()
    ask(user)

    [erased] = race_behind(
        lambda: accounts.restore(user=user, actor=SYSTEM, now=DUE),
        lambda: accounts.erase_due(now=DUE),
    )

    assert erased == 0

    user.refresh_from_db()
    assert user.is_active
    assert audit.log(accounts.personal_team(user))[0].operation == "RestoreAccount"


@pytest.mark.django_db(transaction=True)
def test_who_restores_while_the_job_is_at_it_comes_too_late() -> None:
    user = make_person()
    ask(user)

    [refused] = race_behind(
        lambda: accounts.erase_due(now=DUE),
        lambda: accounts.restore(user=user, actor=SYSTEM, now=DUE),
    )

    assert isinstance(refused, accounts.AlreadyErasedError), refused
    assert not AuditEvent.across_teams.filter(operation="RestoreAccount").exists()


def test_who_restores_too_late_is_told(client: Client) -> None:
    user = make_person()
    ask(user)
    client.force_login(user)
    accounts.erase_due(now=DUE)

    with pytest.raises(accounts.AlreadyErasedError, match="cannot be restored"):
        accounts.restore(user=user, actor=SYSTEM, now=DUE)

    assert client.get("/account/restore/").headers["Location"].startswith("/accounts/login/")
