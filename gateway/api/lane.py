"""The one lane to the database: all requests of this process share its transactions.

While one transaction runs, everything that arrives waits for the next (group commit), so that
under load a commit is paid once for many requests, and alone a request waits for nobody. An answer
from the lane is a committed one.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from http import HTTPStatus
from time import monotonic, sleep
from typing import Any, Final, TypeVar
from uuid import UUID

import psycopg
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone

from api_keys import services as api_keys
from api_keys.services import KeyIdentity
from billing import services as billing
from gateway import services as gateway
from gateway.services import Admitted, Arrival, Catalog, Outcome, RefusedError

logger = logging.getLogger("gateway")

MOST_IN_A_BATCH: Final = 200
# Seconds for which prices may be a moment old.
CATALOG_AGE: Final = 1.0
# Seconds between two writes of when a key was last used.
TOUCH_EVERY: Final = 1.0

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Job:
    """Something to be done in the lane, and who waits for it."""

    work: Arrival | Outcome | Callable[[], Any]
    answer: "asyncio.Future[Any]"


class Lane:
    """Takes work from the event loop to one thread with one connection, a batch at a time."""

    def __init__(self) -> None:
        self._waiting: list[_Job] = []
        self._wake = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "gateway-lane")
        self._catalog: Catalog = {}
        self._catalog_read_at = float("-inf")
        self._live: set[UUID] = set()
        self._owed: list[Outcome] = []
        self._used: dict[tuple[UUID, str], datetime] = {}
        self._renewed_at = float("-inf")

    async def admit(self, arrival: Arrival) -> Admitted:
        """Find key and model and set credits aside. Raises RefusedError."""
        answer: Admitted = await self._ask(arrival)
        self._live.add(answer.request_id)
        return answer

    async def settle(self, outcome: Outcome) -> int:
        """Charge a request, or release its hold; return its cost in ticks, committed.

        Raises RefusedError when the database is away for so long that the customer cannot be kept
        waiting. The outcome is then told again later, so that no request goes unaccounted: what
        was streamed is charged, what was never answered is not.
        """
        try:
            cost: int = await self._ask(outcome)
        except RefusedError as refused:
            late = outcome if outcome.is_stream else outcome.as_failure(refused.status)
            self._owed.append(late)
            raise
        except BaseException:
            # It is no longer renewed: the hold lapses uncharged.
            self._live.discard(outcome.admitted.request_id)
            raise
        self._live.discard(outcome.admitted.request_id)
        self.note_use(outcome.admitted.key, outcome.ip)
        return cost

    def note_use(self, key: KeyIdentity, ip: str) -> None:
        """Remember to write down that a key was used just now, and from where."""
        self._used[key.id, ip] = timezone.now()

    async def call(self, function: Callable[[Catalog], T]) -> T:
        """Run a reading function in the lane, with the catalog of the moment."""
        result: T = await self._ask(lambda: function(self._catalog))
        return result

    async def run(self) -> None:
        """Serve the lane until cancelled. What is under way is finished first."""
        loop = asyncio.get_running_loop()
        keeping = loop.create_task(self._keep())
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._waiting:
                    batch = self._waiting[:MOST_IN_A_BATCH]
                    del self._waiting[:MOST_IN_A_BATCH]
                    answers = await loop.run_in_executor(self._thread, self._work, batch)
                    for job, answer in zip(batch, answers, strict=True):
                        _tell(job.answer, answer)
        finally:
            keeping.cancel()
            self._thread.shutdown()

    async def drain(self) -> None:
        """Wait until nothing is waiting."""
        await self._ask(lambda: None)

    async def _ask(self, work: Arrival | Outcome | Callable[[], Any]) -> Any:
        job = _Job(work, asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        self._wake.set()
        return await job.answer

    async def _keep(self) -> None:
        """Do what comes round: keep living holds alive, note used keys, tell what is owed."""
        every = settings.HOLD_SECONDS / 3
        while True:
            await asyncio.sleep(min(every, TOUCH_EVERY))
            try:
                await self._note_use()
                if self._live and monotonic() - self._renewed_at >= every:
                    until = timezone.now() + timedelta(seconds=settings.HOLD_SECONDS)
                    await self._ask(partial(billing.renew, list(self._live), until=until))
                    self._renewed_at = monotonic()
                while self._owed:
                    await self.settle(self._owed.pop(0))
            except Exception:
                logger.exception("The gateway could not write down what it knows; it tries again.")

    async def _note_use(self) -> None:
        used, self._used = self._used, {}
        if used:
            try:
                later = await self._ask(partial(api_keys.touch, used))
            except Exception:
                self._used = used | self._used
                raise
            self._used = later | self._used

    def _work(self, batch: Sequence[_Job]) -> list[Any]:
        """Do a batch in the lane's thread; an exception stands in for the answer it prevented."""
        deadline = monotonic() + settings.DATABASE_PATIENCE
        while True:
            try:
                _prepare_statements()
                return self._answers(batch)
            except (OperationalError, InterfaceError) as error:
                # Told again after a lost connection, all of it happens once all the same.
                _drop_connection()
                if monotonic() > deadline:
                    logger.error("The database has been away for too long: %s", error)  # noqa: TRY400
                    return [_unavailable()] * len(batch)
                sleep(0.1)
            except Exception as error:
                if len(batch) == 1:
                    logger.exception("A request could not be accounted for.")
                    return [error]
                # One bad apple must not spoil the others.
                return [answer for job in batch for answer in self._work([job])]

    def _answers(self, batch: Sequence[_Job]) -> list[Any]:
        if monotonic() - self._catalog_read_at > CATALOG_AGE:
            self._catalog = gateway.catalog()
            self._catalog_read_at = monotonic()
        outcomes = [job.work for job in batch if isinstance(job.work, Outcome)]
        arrivals = [job.work for job in batch if isinstance(job.work, Arrival)]
        # Before the one transaction: nothing that comes after it may fail and have it told again.
        results = [
            _result_or_error(job.work)
            for job in batch
            if not isinstance(job.work, Outcome | Arrival)
        ]
        costs, admissions = (
            gateway.clear(outcomes, arrivals, offers=self._catalog, now=timezone.now())
            if outcomes or arrivals
            else ([], [])
        )
        settled, admitted, done = iter(costs), iter(admissions), iter(results)
        answers: list[Any] = []
        for job in batch:
            if isinstance(job.work, Outcome):
                answers.append(next(settled))
            elif isinstance(job.work, Arrival):
                answers.append(next(admitted))
            else:
                answers.append(next(done))
        return answers


def _prepare_statements() -> None:
    """Let the database plan the lane's few statements once instead of at every batch.

    Pages ask too many different questions for that to pay, so it is not the project's setting.
    """
    connection.ensure_connection()
    driver = connection.connection
    if driver.prepare_threshold != 1:
        driver.cursor_factory, driver.prepare_threshold = psycopg.Cursor, 1
        # Otherwise the first plans would be made for the parameters at hand and thrown away.
        driver.execute("SET plan_cache_mode = force_generic_plan")


def _drop_connection() -> None:
    """Close the connection for good: as it was changed, no page may borrow it from the pool."""
    if connection.connection is not None:
        connection.connection.close()
    connection.close()


def _result_or_error(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:  # noqa: BLE001 -- for whoever asked, and nobody else in the batch
        return error


def _tell(future: "asyncio.Future[Any]", answer: Any) -> None:
    if future.done():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)


def _unavailable() -> RefusedError:
    return RefusedError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "unavailable",
        "The service cannot reach its database at the moment. Try again in a few seconds.",
        "database_unavailable",
    )
