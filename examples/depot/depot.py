"""A depot's stock: bins, items, and what lies where. The standard library and a driver, no framework.

Reads DB_TYPE, DATABASE_URL, STOCK_FILE and PORT from the environment.
"""

from __future__ import annotations

import base64
import json
import os
import sqlite3
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

POSTGRES = os.environ.get("DB_TYPE", "sqlite") == "postgres"
FILE = os.environ.get("STOCK_FILE", "stock.sqlite3")
HOLE = "%s" if POSTGRES else "?"

SCHEMA = """
CREATE TABLE IF NOT EXISTS bins (id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE, cold BOOLEAN NOT NULL);
CREATE TABLE IF NOT EXISTS items (id INTEGER PRIMARY KEY, sku VARCHAR(20) NOT NULL UNIQUE, name TEXT,
  weight REAL, price NUMERIC(10,2), photo BLOB, added DATETIME);
CREATE TABLE IF NOT EXISTS stock (bin_id INTEGER REFERENCES bins, item_id INTEGER REFERENCES items,
  n INTEGER NOT NULL CHECK (n >= 0), PRIMARY KEY (bin_id, item_id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS stock_item ON stock (item_id);
"""


def connect() -> Any:
    """One connection a request: nothing of a former server is kept."""
    if POSTGRES:
        import psycopg
        from psycopg.rows import dict_row

        return psycopg.connect(os.environ["DATABASE_URL"], row_factory=dict_row)
    connection = sqlite3.connect(FILE, timeout=10)
    connection.row_factory = lambda cursor, row: {
        column[0]: value for column, value in zip(cursor.description, row, strict=True)
    }
    return connection


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row as JSON has it, the same from both databases."""
    for key, value in row.items():
        if isinstance(value, bytes | memoryview):
            row[key] = base64.b64encode(bytes(value)).decode()
        elif key == "added" and value is not None:
            row[key] = str(value)
        elif key == "price" and value is not None:
            row[key] = f"{value:.2f}"
        elif key == "cold":
            row[key] = bool(value)
    return row


class Handler(BaseHTTPRequestHandler):
    """GET lists and rows, POST items, PUT stock."""

    def answer(self, status: int, body: object) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def ask(self, query: str, *words: object) -> list[dict[str, Any]]:
        with closing(connect()) as connection:
            cursor = connection.execute(query.replace("?", HOLE), words)
            rows = [plain(dict(row)) for row in cursor] if cursor.description else []
            connection.commit()
            return rows

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        match url.path.strip("/").split("/"):
            case ["-", "ready"]:
                self.ask("SELECT 1")
                self.answer(200, {"ready": True})
            case ["v1", ("items" | "bins") as table]:
                words = parse_qs(url.query)
                first, count = (int(words.get(k, ["20"])[0]) for k in ("offset", "count"))
                query = f"SELECT * FROM {table} ORDER BY id LIMIT ? OFFSET ?"
                self.answer(200, self.ask(query, count, first))
            case ["v1", ("items" | "bins") as table, number]:
                found = self.ask(f"SELECT * FROM {table} WHERE id = ?", int(number))
                for row in found[:1] if table == "items" else []:
                    row["bins"] = self.ask(
                        "SELECT bin_id, n FROM stock WHERE item_id = ? ORDER BY 1", row["id"]
                    )
                self.answer(200 if found else 404, found[0] if found else {})
            case _:
                self.answer(404, {})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        made = self.ask(
            "INSERT INTO items (sku, name, weight, price) VALUES (?, ?, ?, ?) RETURNING *",
            body["sku"], body.get("name"), body.get("weight"), body.get("price"),
        )  # fmt: skip
        self.answer(201, made[0])

    def log_message(self, *words: object) -> None:
        pass


def fill() -> None:
    """Tables and some stock, the first time only."""
    with closing(sqlite3.connect(FILE)) as connection:
        connection.executescript(SCHEMA)
        if connection.execute("SELECT count(*) FROM items").fetchone()[0]:
            return
        for n in range(1, 13):
            connection.execute("INSERT INTO bins VALUES (?, ?, ?)", (n, f"Ä-{n:02}", n % 3 == 0))
        for n in range(1, 201):
            connection.execute(
                "INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?)",
                (n, f"SKU{n}", f"thing {n} 脳", n / 7, n / 4, bytes([n, 0, 255]),
                 f"2026-01-{n % 28 + 1:02} 08:00:00" if n % 9 else None),
            )  # fmt: skip
            connection.execute("INSERT INTO stock VALUES (?, ?, ?)", (n % 12 + 1, n, n * 3))
        connection.commit()


if __name__ == "__main__":
    if not POSTGRES:
        fill()
    ThreadingHTTPServer(("", int(os.environ.get("PORT", "5000"))), Handler).serve_forever()
