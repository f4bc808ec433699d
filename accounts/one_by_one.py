"""Work over many, where one that fails does not keep the rest waiting."""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeAlias

Each: TypeAlias = Callable[..., AbstractContextManager[None]]


class SomeFailedError(Exception):
    """Some of many could not be done; the log says which and why."""

    def __init__(self, failures: int) -> None:
        super().__init__(f"{failures} could not be done. The log says which and why.")


@contextmanager
def one_by_one(logger: logging.Logger) -> Iterator[Each]:
    """Go on after what fails, and raise SomeFailedError at the end, so that a job fails in sight.

    Each piece of work stands in a context of its own, which takes what the log is to say::

        with one_by_one(logger) as each:
            for team in teams:
                with each("Team %s could not be told its news", team.pk):
                    tell(team)
    """
    failures: list[Exception] = []

    @contextmanager
    def each(message: str, *args: object) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            logger.exception(message, *args)
            failures.append(error)

    yield each
    if failures:
        raise SomeFailedError(len(failures)) from failures[0]
