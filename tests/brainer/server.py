"""Run the example app for a test, as its container does: uvicorn in a process of its own."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

APP = Path(__file__).parents[2] / "examples" / "brainer"
START_SECONDS = 30


@contextmanager
def running_brainer(directory: Path, **environment: str) -> Iterator[httpx.Client]:
    """A client of an app that has started; `directory` is where its SQLite file and log are."""
    with socket.socket() as listener:
        # The socket is bound here and inherited: no port to guess, and none to lose to a neighbour.
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        log = directory / "app.log"
        with log.open("wb") as output:
            app = subprocess.Popen(
                [sys.executable, "-m", "uvicorn", "api.main:app", "--fd", str(listener.fileno())],
                cwd=directory,
                env=os.environ | {"PYTHONPATH": str(APP)} | environment,
                pass_fds=[listener.fileno()],
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            with httpx.Client(base_url=base, timeout=START_SECONDS) as client:
                try:
                    client.get("/health")  # waits in the listen queue until the app accepts
                except httpx.HTTPError as error:
                    raise AssertionError(f"the app did not start:\n{log.read_text()}") from error
                yield client
        finally:
            app.send_signal(signal.SIGTERM)
            app.wait(START_SECONDS)
