"""Several threads let go at the same moment, each with a database connection of its own."""

from collections.abc import Callable
from threading import Barrier, Thread

from django.db import connection, connections, transaction

from tests.servers import DEADLINE_SECONDS, until

Act = Callable[[], object]


def race(*acts: Act) -> list[object]:
    """Run every act at once; return what each returned or raised, in their order."""
    racers = _start(acts)
    return [racer.result() for racer in racers]


def race_behind(lock: Act, *acts: Act) -> list[object]:
    """Run every act while what `lock` takes is held; let go once none gets any further."""
    with transaction.atomic():
        lock()
        racers = _start(acts)
        until(
            lambda: _waiting() + sum(racer.is_done for racer in racers) == len(racers),
            "every act to be done or to meet the lock",
        )
    return [racer.result() for racer in racers]


class _Racer(Thread):
    """One act in a thread that has its connection before it comes to the line."""

    def __init__(self, act: Act, line: Barrier) -> None:
        super().__init__()
        self.act = act
        self.line = line
        self.outcome: object = None
        self.is_done = False

    def run(self) -> None:
        try:
            connection.ensure_connection()  # Slow, and so different for each, if left for later.
            self.line.wait(DEADLINE_SECONDS)
            self.outcome = self.act()
        except Exception as error:  # noqa: BLE001 -- the test looks at it
            self.outcome = error
        finally:
            connections.close_all()
            self.is_done = True

    def result(self) -> object:
        self.join()
        return self.outcome


def _start(acts: tuple[Act, ...]) -> list[_Racer]:
    line = Barrier(len(acts))
    racers = [_Racer(act, line) for act in acts]
    for racer in racers:
        racer.start()
    return racers


def _waiting() -> int:
    """Count the connections that wait for another's lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pg_blocking_pids(pid) <> '{}'"
        )
        return int(cursor.fetchone()[0])
