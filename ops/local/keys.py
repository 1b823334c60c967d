"""Secrets and files of keys of a local stack, made at the first start and kept; readable by their owner only."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

SOURCE = "local"
"""The source whose key is made here."""

_OFFICERS = """\
# Unit code -> addresses of its quality officers. `office` is the quality office; "*" stands for every unit that is not named.
# Nothing leaves this machine while the carrier stands in for the mail server.
office = ["van-phong@hoabinh.example"]
"*" = ["can-bo@hoabinh.example"]
"""


@dataclass(frozen=True)
class Keys:
    """Where they are."""

    intake_key: Path
    """The bearer key of the source ``local``, as a sender needs it."""
    intake_keys: Path
    """Its SHA-256, as the intake needs it."""
    twilio_token: Path
    twilio_account: Path
    zns_secret: Path
    zns_oa_secret: Path
    zns_tokens: Path
    gateway: Path
    """Folder of the secrets of the example gateways."""
    officers: Path


def ensure(folder: Path) -> Keys:
    """Make what is not there; what is there is left as it is. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    keys = Keys(
        folder / "intake.key",
        folder / "intake_keys.toml",
        folder / "twilio.token",
        folder / "twilio.account",
        folder / "zns.secret",
        folder / "zns_oa.secret",
        folder / "zns_tokens.json",
        folder / "gateway",
        folder / "officers.toml",
    )
    _once(keys.intake_key, secrets.token_urlsafe(32) + "\n")
    secret = keys.intake_key.read_text(encoding="ascii").strip()
    _once(keys.intake_keys, f'{SOURCE} = "{hashlib.sha256(secret.encode()).hexdigest()}"\n')
    _once(keys.twilio_token, secrets.token_hex(16) + "\n")
    _once(keys.twilio_account, "AC" + secrets.token_hex(16) + "\n")
    _once(keys.zns_secret, secrets.token_hex(16) + "\n")
    _once(keys.zns_oa_secret, secrets.token_hex(16) + "\n")
    _once(keys.zns_tokens, json.dumps({"refresh_token": secrets.token_urlsafe(32)}) + "\n")
    keys.gateway.mkdir(exist_ok=True, mode=0o700)
    for name in ("json-example.token", "form-example.password"):  # the carrier asks all who send for the same secret
        _once(keys.gateway / name, keys.twilio_token.read_text(encoding="ascii"))
    _once(keys.gateway / "form-example.receipts", secrets.token_hex(16) + "\n")
    _once(keys.officers, _OFFICERS)
    return keys


def _once(path: Path, content: str) -> None:
    """Written beside and moved, so that a death in between leaves no empty key. The folder belongs to one stack."""
    if path.exists():
        return
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w", encoding="utf-8") as stream:
        stream.write(content)
    beside.replace(path)
