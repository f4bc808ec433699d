"""Starts what is measured: the bare upstream, our own gateway on it, and LiteLLM's proxy on it."""

import http.client
import importlib.metadata
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import processes
from bench.load import Target

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("BENCH_DIR") or ROOT / ".data" / "bench").resolve()
PEER = "litellm[proxy]"
MODEL = "bench"
START_SECONDS = 180


class NotStartedError(Exception):
    """A server under test could not be had; the message says why."""


@dataclass(frozen=True)
class Server:
    """A running server: how to ask it, and which processes are its own."""

    target: Target
    processes: tuple[int, ...] = ()


@contextmanager
def bare_upstream(behaviour: str) -> Iterator[Server]:
    """Run the fake inference server that all of the others forward to."""
    from tests.upstreams import running_upstream  # noqa: PLC0415 - the others do without tests.

    with running_upstream(behaviour) as upstream:
        port = int(upstream.url.rsplit(":", 1)[1].split("/")[0])
        yield Server(Target("bare", port, MODEL, "none"))


@contextmanager
def own_gateway(upstream: Target) -> Iterator[tuple[Server, "World"]]:
    """Run `manage.py serve` with one web worker, on a new database whose fsync is on."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="ours-") as folder:
        port = free_port()
        kept = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH")
        environment = {name: os.environ[name] for name in kept if name in os.environ} | {
            "DATA_DIR": folder,
            "PORT": str(port),
            "SECRET_KEY": secrets.token_urlsafe(48),
            "LOG_LEVEL": "WARNING",
            "WEB_WORKERS": "1",
        }
        world = World(environment)
        world.run("migrate", "--verbosity", "0")
        made = world.ask("make", f"http://127.0.0.1:{upstream.port}/v1")
        command = [sys.executable, "manage.py", "serve"]
        log = Path(folder) / "serve.log"
        with running(command, environment, log, port, "/readyz") as process:
            databases = processes.postmasters(Path(folder))
            yield Server(Target("ours", port, MODEL, made["api_key"]), (process, *databases)), world


class World:
    """Our side of the benchmark as `bench.world` sees it: inside Django, in another process."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise NotStartedError(f"manage.py {arguments[0]} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def ask(self, function: str, *arguments: str) -> dict[str, Any]:
        called = f"{function}({', '.join(map(repr, arguments))})"
        code = f"import json; from bench.world import *; print(json.dumps({called}))"
        answer: dict[str, Any] = json.loads(
            self.run("shell", "--verbosity", "0", "-c", code).splitlines()[-1]
        )
        return answer


@contextmanager
def litellm_proxy(upstream: Target) -> Iterator[Server]:
    """Run LiteLLM's proxy as its documents advise, with one worker and without a database."""
    home = peer_home()
    port = free_port()
    key = f"sk-{secrets.token_urlsafe(24)}"
    config = {
        "model_list": [
            {
                "model_name": MODEL,
                "litellm_params": {
                    "model": f"openai/{MODEL}",
                    "api_base": f"http://127.0.0.1:{upstream.port}/v1",
                    "api_key": "none",
                },
                # As in bench.world, so that it has a price list to count with, too.
                "model_info": {"input_cost_per_token": 2e-6, "output_cost_per_token": 5e-6},
            }
        ],
        "litellm_settings": {"telemetry": False, "set_verbose": False},
        "general_settings": {"master_key": key},
    }
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="litellm-") as folder:
        file = Path(folder) / "config.yaml"
        file.write_text(json.dumps(config))  # JSON is YAML too.
        environment = {
            "PATH": f"{home / 'bin'}:{os.environ['PATH']}",
            "HOME": folder,
            "LANG": "C.UTF-8",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_MODE": "PRODUCTION",
            "LITELLM_LOG": "ERROR",
        }
        command = [str(home / "bin" / "litellm"), "--config", str(file), "--host", "127.0.0.1"]
        command += ["--port", str(port), "--num_workers", "1"]
        log = Path(folder) / "litellm.log"
        with running(command, environment, log, port, "/health/liveliness") as process:
            yield Server(Target("litellm", port, MODEL, key), (process,))


def peer_home() -> Path:
    """Return the virtual environment that has the peer, and make it the first time."""
    home = CACHE / "litellm"
    if not (home / "bin" / "litellm").exists():
        print(f"Installing {PEER} into {home}, once. This takes a few minutes.", flush=True)
        CACHE.mkdir(parents=True, exist_ok=True)
        venv.create(home, with_pip=True, clear=True)
        command = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", PEER]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotStartedError(f"{PEER} could not be installed:\n{done.stderr[-2_000:]}")
    return home


def peer_version() -> str:
    for folder in (CACHE / "litellm" / "lib").glob("python*/site-packages"):
        for found in importlib.metadata.distributions(name="litellm", path=[str(folder)]):
            return found.version
    return "unknown"


@contextmanager
def running(
    command: list[str], environment: Mapping[str, str], log: Path, port: int, ready_path: str
) -> Iterator[int]:
    """Start a server, wait until it is ready, give its process id, and stop it at the end."""
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            started = time.monotonic()
            while not answers(port, ready_path):
                if process.poll() is not None or time.monotonic() - started > START_SECONDS:
                    said = log.read_text(errors="replace")[-4_000:]
                    raise NotStartedError(f"{command[0]} did not get ready:\n{said}")
                time.sleep(0.2)
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
