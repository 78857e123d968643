"""Create, change and delete in every table through the API: write.py NAME. Prints how many requests it made."""

import http.client
import json
import sys
from typing import Any

HEADERS = {"Content-Type": "application/json", "Connection": "close"}


def ask(verb: str, path: str, body: object = None) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", 8000, timeout=30)
    connection.request(verb, f"/api/{path}", json.dumps(body), HEADERS)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status not in (200, 201, 204):
        raise SystemExit(f"{verb} {path}: {answer.status} {text[:200]!r}")
    return json.loads(text) if text else None


def main() -> None:
    name = sys.argv[1]
    course = ask(
        "POST",
        "courses",
        {
            "slug": f"new-{name}",
            "title": f"Größe {name} \t'\"\\ 脳",
            "price": 1 / 3,
            "is_published": True,
            "content": {"z": 1, "a": [1.0, None, "é\u2028", {"b": 1e300}], "": ""},
        },
    )
    part = ask("POST", "parts", {"course_id": course["id"], "position": 0, "title": ""})
    chapter = ask("POST", "chapters", {"part_id": part["id"], "title": "x", "minutes": 1e-300})
    exercise = ask(
        "POST", "exercises", {"chapter_id": chapter["id"], "question": "?" * 5000, "content": []}
    )
    mine = (("courses", course), ("parts", part), ("chapters", chapter), ("exercises", exercise))
    done = len(mine)
    for table, row in mine:
        field = "question" if table == "exercises" else "title"
        old = ask("GET", f"{table}?skip=0&limit=1")[0]
        ask("PATCH", f"{table}/{old['id']}", {field: f"changed by {name}"})
        ask("PATCH", f"{table}/{row['id']}", {field: f"new, and changed by {name}"})
        done += 2
    # the old ones that have no children, and a new one whose number must not come again
    for table in ("exercises", "chapters", "parts", "courses"):
        body = {
            "exercises": {"chapter_id": chapter["id"], "question": "gone"},
            "chapters": {"part_id": part["id"], "title": "gone"},
            "parts": {"course_id": course["id"], "position": 9, "title": "gone"},
            "courses": {"slug": f"gone-{name}", "title": "gone"},
        }[table]
        gone = ask("POST", table, body)
        ask("DELETE", f"{table}/{gone['id']}")
        done += 2
    last = ask("GET", "exercises?skip=1&limit=1")[0]
    ask("DELETE", f"exercises/{last['id']}")
    print(done + 1)


main()
