"""What accounts does on its own."""

from datetime import timedelta

import pytest
import time_machine
from django.contrib.sessions.models import Session
from django.test import Client
from procrastinate.contrib.django import app

from accounts import tasks
from tests.accounts.people import make_person, sign_in
from tests.factories import NOON


@pytest.mark.django_db
def test_expired_sessions_are_deleted_and_living_ones_stay() -> None:
    with time_machine.travel(NOON, tick=False) as traveller:
        sign_in(Client(), make_person().email)
        traveller.shift(timedelta(days=10))
        fresh = Client()
        sign_in(fresh, make_person().email)
        traveller.shift(timedelta(days=5))

        tasks.clear_sessions(timestamp=0)

    assert [session.pk for session in Session.objects.all()] == [fresh.session.session_key]


def test_it_happens_every_day() -> None:
    [periodic] = [
        task
        for task in app.periodic_registry.periodic_tasks.values()
        if task.task.name == "accounts.tasks.clear_sessions"
    ]

    assert periodic.cron == "25 3 * * *"
