"""JSON over one kept-alive connection."""

import http.client
import json
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from api_compare.errors import BadInput, Failed

HEAD = 300  # characters of an unexpected body that are shown


class Client:
    """Thousands of small answers from one server: connecting anew for each doubles the time."""

    def __init__(self, base: str, timeout: float) -> None:
        try:
            parts = urlsplit(base)
            port = parts.port
        except ValueError as error:
            raise BadInput(f"{base}: {error}") from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadInput(f"{base!r} is not a URL like http://127.0.0.1:8000")
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        self._connection = kind(parts.hostname, port, timeout=timeout)
        self._base = base.rstrip("/")
        self._prefix = parts.path.rstrip("/")

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._connection.close()

    def get(self, path: str) -> Any:
        """The parsed answer; anything but a 200 with JSON in it fails and says what came."""
        try:
            status, body = self._get(path)
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
            raise Failed(f"GET {self._base}{path}: no answer: {reason}") from error
        if status != 200:
            raise Failed(f"GET {self._base}{path}: status {status}: {_head(body)}")
        try:
            return json.loads(body)
        except ValueError as error:
            raise Failed(f"GET {self._base}{path}: not JSON: {_head(body)}") from error

    def send(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and parsed body of any answer; a request that writes is never sent twice."""
        self._connection.close()
        headers = {"Accept": "application/json"}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        try:
            self._connection.request(method, self._prefix + path, data, headers)
            response = self._connection.getresponse()
            status, text = response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
            raise Failed(f"{method} {self._base}{path}: no answer: {reason}") from error
        try:
            return status, json.loads(text) if text else None
        except ValueError:
            return status, _head(text)

    def _get(self, path: str) -> tuple[int, bytes]:
        reused = self._connection.sock is not None
        try:
            return self._get_once(path)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            # A server may close an idle connection at any time; a fresh one must answer.
            self._connection.close()
            if not reused:
                raise
            return self._get_once(path)

    def _get_once(self, path: str) -> tuple[int, bytes]:
        self._connection.request("GET", self._prefix + path, headers={"Accept": "application/json"})
        response = self._connection.getresponse()
        return response.status, response.read()


def _head(body: bytes) -> str:
    text = body[: 4 * HEAD].decode("utf-8", "replace").strip()
    return text[:HEAD] + "…" if len(text) > HEAD else text or "(empty body)"
