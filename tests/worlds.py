"""Worlds that take long to make: made once for all tests of a module, and then gone."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from django.db import connection
from django.test import TestCase
from pytest_django import DjangoDbBlocker

T = TypeVar("T")


def made_once(make: Callable[[], T], blocker: DjangoDbBlocker) -> Iterator[T]:
    """Let what `make` does stay while tests look at it, each of which undoes what it did itself.

    For a fixture of a module, which asks for `django_db_setup` too: `yield from made_once(…)`.
    """
    with blocker.unblock():
        atomics = TestCase._enter_atomics()  # type: ignore[attr-defined]
        try:
            made = make()
            connection.check_constraints()  # Or it would be done again at the end of each test.
            yield made
        finally:
            TestCase._rollback_atomics(atomics)  # type: ignore[attr-defined]
