"""Starts and stops the store; see the package's docstring."""

from __future__ import annotations

import argparse
import asyncio
import errno
import os
import signal
import socket
import sys
import threading
from pathlib import Path

from aiohttp import web

from ops.store import failures
from ops.store.engine import CannotOpen, Engine
from ops.store.server import Store

STOP_WITHIN_S = 2.5
WATCH_EVERY_S = 5.0
SILENT_TOO_LONG_S = 30.0
_MEMORY_LIMIT_EXCEEDED = 241


class CannotStart(Exception):
    """The text says what, why and what to do."""


def main() -> int:
    """Exit codes: 0 stopped as asked, 1 the engine broke, 2 cannot start."""
    options = _options()
    try:
        password = _password(options.password_file)
        listener = _listen(options.host, options.port, password)
        engine = Engine(options.data.absolute(), options.memory_bytes)
    except (CannotStart, CannotOpen) as reason:
        sys.stderr.write(f"The store cannot start. {reason}\n")
        return 2
    return asyncio.run(_serve(listener, engine, password))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ops.store", description="A ClickHouse over HTTP out of one chDB folder.")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the data; made if it is not there")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1", help="anything but loopback needs --password-file")
    parser.add_argument("--memory-bytes", type=int, default=2_000_000_000, help="limit of the engine (default %(default)s)")
    parser.add_argument("--password-file", type=Path, help="file whose first line every client must know")
    return parser.parse_args()


def _password(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        password = file.read_text().partition("\n")[0].strip()
    except OSError as error:
        raise CannotStart(f"The password file {file} cannot be read: {error.strerror}. Name a file this account may read.") from error
    if not password:
        raise CannotStart(f"The password file {file} is empty. Write the password into its first line, or leave --password-file out.")
    return password


def _listen(host: str, port: int, password: str) -> socket.socket:
    if not password and host not in {"127.0.0.1", "::1", "localhost"}:
        raise CannotStart(
            f"The address {host} can be reached from other machines and no password is set. Add --password-file, or use 127.0.0.1."
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Bound now, so that a taken port is told at once; listening only when the engine is there: a request that waited in between might be
    # carried out after its sender has died, beside that of who came after.
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise CannotStart(f"Port {port} on {host} is taken by another program. Choose another --port, or stop that program.") from error
        raise CannotStart(f"Port {port} on {host} cannot be opened: {error.strerror}. Choose another --host or --port.") from error
    return listener


async def _serve(listener: socket.socket, engine: Engine, password: str) -> int:
    store = Store(engine, password)
    runner = web.AppRunner(
        store.app(),
        handler_cancellation=True,
        access_log=None,
        auto_decompress=False,
        keepalive_timeout=120,
        shutdown_timeout=1.0,
        max_line_size=1 << 20,
        max_field_size=1 << 20,
    )
    await runner.setup()
    listener.listen(256)
    await web.SockSite(runner, listener).start()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    watch = asyncio.create_task(_watch(store, engine))
    address, port = listener.getsockname()[:2]
    sys.stdout.write(f"store ready on http://{address}:{port} data={engine.folder} engine={engine.version}\n")
    sys.stdout.flush()
    await stopped.wait()
    watch.cancel()
    _leave_at_the_latest()
    await runner.cleanup()
    await store.close()
    return 0


def _leave_at_the_latest() -> None:
    """A query that cannot be ended must not hold the process: what was acknowledged is already on disk."""
    timer = threading.Timer(STOP_WITHIN_S, os._exit, [0])
    timer.daemon = True
    timer.start()


async def _watch(store: Store, engine: Engine) -> None:
    """Ends the process when the engine is broken or silent, so that whoever started it starts it again."""
    failed = 0
    while True:
        await asyncio.sleep(WATCH_EVERY_S)
        store.sweep(asyncio.get_running_loop().time())
        try:
            await asyncio.wait_for(_ask(engine), SILENT_TOO_LONG_S)
            failed = 0
        except TimeoutError:
            _give_up(f"The engine has not answered for {SILENT_TOO_LONG_S:.0f} s. Start the store again.")
        except failures.Refused as refused:
            failed += refused.code != _MEMORY_LIMIT_EXCEEDED
            if failed >= 3:
                _give_up(f"The engine fails: {refused.text}. Look at the disk and start the store again.")
        if not (engine.folder / "status").exists():
            _give_up(f"The data folder {engine.folder} has gone. Restore it from a backup and start the store again.")


async def _ask(engine: Engine) -> None:
    """In a thread of its own: the pool of queries may be full without anything being broken."""
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[None] = loop.create_future()

    def ask() -> None:
        try:
            engine.alive()
        except failures.Refused as refused:
            loop.call_soon_threadsafe(_tell, answered, refused)
        else:
            loop.call_soon_threadsafe(_tell, answered, None)

    threading.Thread(target=ask, daemon=True, name="watch").start()
    await answered


def _tell(answered: asyncio.Future[None], refused: failures.Refused | None) -> None:
    if answered.done():
        return
    if refused is None:
        answered.set_result(None)
    else:
        answered.set_exception(refused)


def _give_up(reason: str) -> None:
    sys.stderr.write(f"The store stops. {reason}\n")
    sys.stderr.flush()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
