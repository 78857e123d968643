"""Ask the app five times a second and write down how long it did not answer: prober.py URL OUT LOCK ID.

Ends by itself when the operation ID no longer holds the LOCK.
"""

import json
import os
import sys
import time
import urllib.request

SECONDS = 0.2


def answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError):
        return False


def held(lock: str, identity: str) -> bool:
    try:
        with open(lock, encoding="utf-8") as file:
            return bool(json.load(file)["id"] == identity)
    except (OSError, ValueError, KeyError):
        return False


def main() -> None:
    url, out, lock, identity = sys.argv[1:]
    away, last = 0.0, time.monotonic()
    asked = 0
    up = None
    while held(lock, identity):
        asked_at = time.monotonic()
        now = answers(url)
        asked += 1
        if now:
            # the moment of the question: an answer that came slowly was an answer
            away += asked_at - last if up is False else 0.0
            last = asked_at
        if now != up or asked % 5 == 0:
            up = now
            told = {"up": up, "away": round(away, 1), "asked": asked}
            part = f"{out}.part"
            with open(part, "w", encoding="utf-8") as file:
                json.dump(told, file)
            os.replace(part, out)
        time.sleep(max(0.0, SECONDS - (time.monotonic() - asked_at)))


main()
