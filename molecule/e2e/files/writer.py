"""Use the API until it refuses, and keep a record: what was acknowledged must not be lost."""

import http.client
import json
import time
from pathlib import Path
from typing import Any

PAUSE = 0.2


def ask(verb: str, path: str, body: object = None) -> Any:
    # one connection a request: an idle one would hold up the app's stop
    connection = http.client.HTTPConnection("127.0.0.1", 8000, timeout=30)
    headers = {"Content-Type": "application/json", "Connection": "close"}
    try:
        connection.request(verb, path, json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    if answer.status not in (200, 201, 204):
        raise ConnectionError(f"{verb} {path}: {answer.status} {text[:200]!r}")
    return json.loads(text) if text else None


def main() -> None:
    mine: list[int] = []
    with Path("written.jsonl").open("w") as record:

        def note(verb: str, row: Any) -> None:
            record.write(json.dumps({"at": time.time(), "verb": verb, "row": row}) + "\n")
            record.flush()

        number = 0
        try:
            while True:
                number += 1
                course = {
                    "slug": f"written-{number}",
                    "title": f"Größe {number}\t'\"\\",
                    "price": number / 3,
                }
                made = ask("POST", "/api/courses", course)
                note("POST", made)
                mine.append(made["id"])
                # the oldest of ours, so that rows of the snapshot are changed and deleted, too
                if number % 3 == 1:
                    row = mine.pop(0)
                    note(
                        "PATCH",
                        ask("PATCH", f"/api/courses/{row}", {"title": "changed", "price": None}),
                    )
                if number % 3 == 2:
                    row = mine.pop(0)
                    ask("DELETE", f"/api/courses/{row}")
                    note("DELETE", {"id": row})
                time.sleep(PAUSE)
        except (OSError, http.client.HTTPException) as refusal:
            note("refused", repr(refusal))


main()
