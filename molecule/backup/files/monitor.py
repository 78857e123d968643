"""Stands in for a monitor: writes down each path that it is told, and what came with it."""

import http.server
import json


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        with open("/root/alarms/told.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps({"path": self.path, "body": body}) + "\n")
        self.send_response(200)
        self.end_headers()

    def log_message(self, *words: object) -> None:
        """Its address is a secret, and the journal is looked through for it."""


http.server.ThreadingHTTPServer(("127.0.0.1", 9090), Handler).serve_forever()
