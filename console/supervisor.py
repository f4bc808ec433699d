"""Keeps a few processes up: starts them, starts them again when they crash, stops them together."""

import contextlib
import logging
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

logger = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
# Who has run for so long is taken for healthy again, and its next pause is a short one.
HEALTHY_SECONDS = 60.0
TICK_SECONDS = 0.5
# An orphan's database may be about to go as well, so it does not linger.
ORPHAN_SECONDS = 3.0


class Child:
    """One process that is to run, in a session of its own so that all it starts can be ended."""

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name = name
        self.command = command
        self.process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._start_at = 0.0
        self._pause_seconds = 0.0

    def tend(self) -> None:
        """Start it if it is time to; notice if it has ended."""
        now = time.monotonic()
        if self.process is not None and self.process.poll() is not None:
            if now - self._started_at > HEALTHY_SECONDS:
                self._pause_seconds = 0.0
            self._pause_seconds = min(
                max(2 * self._pause_seconds, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS
            )
            logger.error(
                "The %s ended with %s; starting it again in %.0f s.",
                self.name,
                _how(self.process.returncode),
                self._pause_seconds,
            )
            self.kill()
            self.process = None
            self._start_at = now + self._pause_seconds
        if self.process is None and now >= self._start_at:
            self._started_at = now
            self.process = subprocess.Popen(  # noqa: S603 - our own command
                self.command, stdin=subprocess.DEVNULL, start_new_session=True
            )

    def terminate(self) -> None:
        if self.is_running():
            assert self.process is not None  # noqa: S101 - for the type checker
            self.process.terminate()

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """End what is left of it and of all that it has started."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Supervisor:
    """Runs its children until SIGTERM or Ctrl-C; a second one of these does not wait for them."""

    def __init__(
        self, children: Sequence[Child], *, patience_seconds: float, each_tick: Callable[[], None]
    ) -> None:
        self._children = children
        self._patience_seconds = patience_seconds
        self._each_tick = each_tick
        self._signals = 0
        self._bell = -1

    def run(self) -> None:
        with self._listening():
            try:
                while not self._signals:
                    for child in self._children:
                        child.tend()
                    self._each_tick()
                    self._nap()
                self._stop()
            finally:
                for child in self._children:
                    child.kill()

    def _stop(self) -> None:
        deadline = time.monotonic() + self._patience_seconds
        for child in self._children:
            child.terminate()
        while any(child.is_running() for child in self._children):
            if self._signals > 1 or time.monotonic() > deadline:
                break
            self._nap()
        for child in self._children:
            if child.is_running():
                logger.warning("The %s had not finished, and was killed.", child.name)

    def _nap(self) -> None:
        """Sleep until the next tick, or until a signal comes: a child's end is one."""
        ready, _, _ = select.select([self._bell], [], [], TICK_SECONDS)
        if ready:
            os.read(self._bell, 1024)

    @contextlib.contextmanager
    def _listening(self) -> Iterator[None]:
        self._bell, ring = os.pipe()
        os.set_blocking(ring, False)
        before_fd = signal.set_wakeup_fd(ring, warn_on_full_buffer=False)
        before = {
            number: signal.signal(number, self._on_signal)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
            # `nohup` means it.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(before_fd)
            os.close(self._bell)
            os.close(ring)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGCHLD:
            self._signals += 1


def end_with_parent(parent: int) -> None:
    """Let this process end when `parent`, who started it, has gone, even if it was killed.

    It watches whose child it is. Turned down: Linux's PR_SET_PDEATHSIG, which asks for ctypes, does
    not exist elsewhere, and tells of the end of the parent's thread, not of its process.
    """
    threading.Thread(target=_watch, args=(parent,), name="end-with-parent", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(TICK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(ORPHAN_SECONDS)
    os._exit(1)


def _how(returncode: int) -> str:
    if returncode >= 0:
        return f"exit code {returncode}"
    return signal.Signals(-returncode).name
