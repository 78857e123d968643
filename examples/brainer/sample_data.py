"""Fill a new SQLite database with courses: ``python -m sample_data --exercises 2000``.

The same arguments always give the same rows. The tables are made by the app's own models, so the
schema is exactly the one that SQLAlchemy gives a real Brainer. The values are the ones that get
lost in migrations: every kind of quote and white space, NULL beside '' beside JSON null, the
largest and smallest numbers, microseconds, the first and the last date.
"""

import argparse
import json
import os
import random
import sqlite3
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from api.database import Base, sqlite_engine
from api.models import Chapter, Course, Exercise, Part

EXERCISES_PER_CHAPTER, CHAPTERS_PER_PART, PARTS_PER_COURSE = 10, 5, 4
EVERY = 7  # each 7th row has the next of the awkward values
NEVER = sys.maxsize

TEXTS = (
    "", " ", " both ends ", "tab\there", "two\nlines", "two\r\nlines", "\ttab and newline\n",
    "back\\slash", "\\N", "\\.", "C:\\new\\table", "NULL", "null", "it's", 'say "hi"', "`code`",
    "comma, semicolon; pipe|", "100% %s {0} $1", "<b>&amp;</b>", "null\\u0000 spelt out",
    "Füße, naïve, Ελλάδα, Привет", "日本語の練習問題", "שלום עולם", "مرحبا", "🧠 👩\u200d💻 🇪🇺",
    "e\u0301 is not é", "zero\u200bwidth, nbsp\u00a0, BOM\ufeff", "control \x01 \x1f \x7f",
    "\u2028 line separator", "0", "1e5", "2024-02-29", "true", "{}", "long " * 800,
)  # fmt: skip
NUMBERS = (
    0.1, 0.30000000000000004, 1 / 3, 3.0, 0.0, -0.0, -1.5, 1e300, -1e-300, 5e-324,
    1.7976931348623157e308, 123456789.12345679, None,
)  # fmt: skip
DOCUMENTS: tuple[Any, ...] = (
    {}, [], None, True, 0, "", "text", 0.1, 1e300, -0.0, 2**53 + 1, -(2**63), 10**30,
    [[[]], [{}], None], [-0.0, 1.0, 1e300, 5e-324, 2**53 + 1, 10**30],
    {"": "empty key", "z": 1, "a": 2, "nested": {"deep": [{"er": [1, 2.0, "3", None, False]}]}},
    {"unicode": "ñ 漢 🧠", "quotes": "\"'\\", "white": "\t\n\r", "nul": "\x00"},
)  # fmt: skip
DATES = (
    "0001-01-01 00:00:00.000000", "1969-12-31 23:59:59.999999", "1970-01-01 00:00:00.000000",
    "2000-02-29 12:00:00.000001", "2024-03-31 02:30:00.500000", "9999-12-31 23:59:59.999999", None,
)  # fmt: skip
POINTS = (0, 1, 2, 3, 5, 8, 2**31 - 1)
FLAGS = (1, 0, None)
WORDS = (
    "graph", "proof", "limit", "vector", "set", "tree", "group", "field", "prime", "matrix",
    "lemma", "curve", "sum", "ring", "map",
)  # fmt: skip
START = datetime(2023, 1, 1)


class Values:
    """Endless values for one table: ordinary ones from a seeded pool, now and then an awkward one."""

    def __init__(self, seed: int, every: int) -> None:
        self.every = every
        rng = random.Random(seed)
        self.sentences = [" ".join(rng.choices(WORDS, k=rng.randint(6, 14))) for _ in range(997)]
        self.documents = [  # as SQLAlchemy writes JSON: json.dumps with its defaults
            json.dumps(
                {
                    "blocks": [{"type": "text", "text": " ".join(rng.choices(WORDS, k=12))}],
                    "answers": rng.sample(WORDS, 3),
                    "correct": rng.randrange(3),
                    "weight": rng.random(),
                }
            )
            for _ in range(997)
        ]
        self.numbers = [round(rng.random() * 100, 3) for _ in range(997)]
        self.awkward_documents = [json.dumps(document) for document in DOCUMENTS]

    def text(self, i: int) -> str:
        return self.sentences[i % 997] if i % self.every else TEXTS[i // self.every % len(TEXTS)]

    def title(self, i: int) -> str:
        return self.text(i)[:200]

    def number(self, i: int) -> float | None:
        return self.numbers[i % 997] if i % self.every else NUMBERS[i // self.every % len(NUMBERS)]

    def document(self, i: int) -> str:
        if i % self.every:
            return self.documents[i % 997]
        return self.awkward_documents[i // self.every % len(DOCUMENTS)]

    def date(self, i: int) -> str | None:
        if i % self.every:
            return moment(i * 7919 % 2_000_003)
        return DATES[i // self.every % len(DATES)]


def moment(i: int) -> str:
    """The text SQLAlchemy stores for a DateTime: always six digits of microseconds."""
    return f"{START + timedelta(microseconds=i * 61_000_001):%Y-%m-%d %H:%M:%S.%f}"


def rows_of_courses(count: int, values: Values) -> Iterator[tuple[Any, ...]]:
    for i in range(count):
        yield (
            i + 1, f"course-{i + 1}", values.title(i), values.text(i + 1) if i % 3 else None,
            values.number(i), i % 2, values.document(i),
            moment(i), moment(i + 9) if i % 2 else None,
        )  # fmt: skip


def rows_of_parts(count: int, values: Values) -> Iterator[tuple[Any, ...]]:
    for i in range(count):
        course, position = divmod(i, PARTS_PER_COURSE)
        yield (i + 1, course + 1, position, values.title(i), FLAGS[i % 3], moment(i))


def rows_of_chapters(count: int, values: Values) -> Iterator[tuple[Any, ...]]:
    for i in range(count):
        yield (
            i + 1, i // CHAPTERS_PER_PART + 1, values.title(i),
            values.text(i + 1) if i % 3 else None, values.document(i), values.number(i + 1),
            moment(i), moment(i + 9) if i % 2 else None,
        )  # fmt: skip


def rows_of_exercises(count: int, values: Values) -> Iterator[tuple[Any, ...]]:
    for i in range(count):
        yield (
            i + i // 97 + 1,  # gaps, as deleted exercises leave them
            i // EXERCISES_PER_CHAPTER + 1, values.text(i), values.text(i + 2) if i % 3 else None,
            values.document(i) if i % 5 else None,  # SQL NULL; the awkward ones have JSON null
            POINTS[i % 7], values.number(i + 3), i % 11 != 0, values.date(i + 4),
            moment(i), moment(i + 9) if i % 2 else None,
        )  # fmt: skip


def ceiling(count: int, size: int) -> int:
    return -(-count // size)


def fill(path: Path, exercises: int, seed: int, every: int = EVERY) -> None:
    engine = sqlite_engine(f"sqlite:///{path}")
    Base.metadata.create_all(engine)
    engine.dispose()

    values = Values(seed, every)
    chapters = ceiling(exercises, EXERCISES_PER_CHAPTER)
    parts = ceiling(chapters, CHAPTERS_PER_PART)
    courses = ceiling(parts, PARTS_PER_COURSE)

    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=OFF")  # nobody sees the file until it is complete
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("BEGIN")
    for model, rows in (
        (Course, rows_of_courses(courses, values)),
        (Part, rows_of_parts(parts, values)),
        (Chapter, rows_of_chapters(chapters, values)),
        (Exercise, rows_of_exercises(exercises, values)),
    ):
        columns = model.__table__.columns.keys()
        marks = ", ".join("?" * len(columns))
        connection.executemany(f"INSERT INTO {model.__tablename__} VALUES ({marks})", rows)
    if exercises:
        # The newest exercise was deleted: its id is still taken, as sqlite_sequence remembers.
        connection.execute(
            "INSERT INTO exercises (chapter_id, question) SELECT 1, '' FROM chapters LIMIT 1"
        )
        connection.execute("DELETE FROM exercises WHERE id = last_insert_rowid()")
    connection.execute("COMMIT")
    if connection.execute("PRAGMA foreign_key_check").fetchone():
        raise AssertionError("sample data has orphans")
    connection.close()


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="sample_data", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--exercises", type=int, default=2000, metavar="N")
    parser.add_argument("--sqlite", type=Path, default=Path("data/brainer.db"), metavar="PATH")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--plain", action="store_true", help="without the awkward values, which other tools stop at"
    )
    arguments = parser.parse_args()
    if arguments.exercises < 0:
        parser.error("--exercises must not be negative")

    path: Path = arguments.sqlite
    if path.exists():
        print(f"{path} exists and stays as it is: name another with --sqlite", file=sys.stderr)
        return 1
    started = time.monotonic()
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    fill(unfinished, arguments.exercises, arguments.seed, NEVER if arguments.plain else EVERY)
    os.rename(unfinished, path)
    megabytes = path.stat().st_size / 1e6
    print(
        f"{path}: {arguments.exercises} exercises, {megabytes:.1f} MB, "
        f"{time.monotonic() - started:.1f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
