"""Several threads let go at the same moment, each with a database connection of its own."""

from collections.abc import Callable
from threading import Barrier, Thread

from django.db import connection, connections


def race(*acts: Callable[[], object]) -> list[object]:
    """Run every act at once; return what each returned or raised, in their order."""
    barrier = Barrier(len(acts))
    results: list[object] = [None] * len(acts)

    def run(index: int, act: Callable[[], object]) -> None:
        connection.ensure_connection()  # Slow, and so different for each, if left for later.
        barrier.wait()
        try:
            results[index] = act()
        except Exception as error:  # noqa: BLE001 -- the test looks at it
            results[index] = error
        finally:
            connections.close_all()

    threads = [Thread(target=run, args=pair) for pair in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
