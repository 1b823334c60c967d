"""The described gateways of the examples with secrets, and a site they call, for tests."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

from hailong.ports import OutgoingMessage
from surveys.channels.gateway_file import Gateway, parse, secret_files
from surveys.channels.gateway_reports import Call

_EXAMPLES = Path(__file__).parents[2] / "examples" / "gateways"
JSON, FORM = ((_EXAMPLES / f"{name}-example.toml").read_text("utf-8") for name in ("json", "form"))
BY_GET = FORM.replace('method = "POST"', 'method = "GET"', 1).replace('body = "form"', 'body = "query"', 1)
_numbers = count(1)


SECRET = "geheim"


def described(text: str, secret: str = SECRET) -> Gateway:
    """The gateway of a description; all its secrets are ``secret``."""
    told = parse(text, "test.toml")
    return Gateway(told, dict.fromkeys(secret_files(told), secret.encode()))


def sms(to: str = "", text: str = "Moi Ong/Ba danh gia", callback: str | None = None) -> OutgoingMessage:
    """A message of a claim of its own."""
    n = next(_numbers)
    return OutgoingMessage(f"claim-{n}", "sms", to or f"+8497{n:07d}", "", text, None, f"{n:08d}", callback, None, "vi")


@dataclass
class Called:
    """A site that gateways call: what came, and what it says to it (``answers``: the next statuses, then 200)."""

    url: str
    says: str = "OK"
    calls: list[Call] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)


@contextmanager
def called() -> Iterator[Called]:
    site = Called("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            path, _, query = self.path.partition("?")
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            site.calls.append(Call(self.command, path, query, headers, body, "".join(path.split("/")[4:])))
            self.send_response(site.answers.pop(0) if site.answers else 200)
            self.send_header("Content-Length", str(len(site.says)))
            self.end_headers()
            self.wfile.write(site.says.encode())

        do_GET = do_POST

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
