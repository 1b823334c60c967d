"""docker-compose.yml, .env.example and the image, as far as they can be held to the code without a container engine."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from hailong import settings
from ops import health, site, topics

ROOT = Path(__file__).parents[2]
STORES = {"kafka", "clickhouse", "postgres"}
TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
SERVICES: dict[str, Any] = yaml.safe_load(TEXT)["services"]
OURS = {name: s for name, s in SERVICES.items() if name not in STORES}
KEPT = {name: s for name, s in SERVICES.items() if name != "setup"}
SLOT_FILE = "/tmp/slot"
KNOWN = {name for name, *_ in settings.table()}
MAY_BE_EMPTY = {
    f"HAILONG_{name}"
    for name in ("TRUSTED_PROXIES", "CHANNEL_MODES", "ABROAD_BASIS", "GUESTS_FILE", "RULES_FILE", "TEMPLATES_DIR", "PRICES_FILE")
}
"""What an installation may leave as it is shipped."""


def _module(service: dict[str, Any]) -> str:
    command = service["command"]
    assert command[:2] == ["python", "-m"]
    return str(command[2])


def test_it_follows_the_specification() -> None:
    """The specification's schema ships with a package of the development environment; only its file is wanted, not its code."""
    shipped = importlib.util.find_spec("check_jsonschema")
    assert shipped is not None, "check-jsonschema is not installed: run bin/test, which installs requirements-dev.lock"
    assert shipped.origin is not None
    schema = json.loads((Path(shipped.origin).parent / "builtin_schemas" / "vendor" / "compose-spec.json").read_text(encoding="utf-8"))
    jsonschema.validate(yaml.safe_load(TEXT), schema)


def test_every_role_and_site_has_a_service() -> None:
    assert set(OURS) == {*topics.ROLES, *site.NAMES, "setup", "carrier"}
    for role in topics.ROLES:
        assert SERVICES[role]["command"] == ["python", "-m", "ops.worker", role, "--slot", "auto", "--slot-file", SLOT_FILE]
    for name in site.NAMES:
        assert SERVICES[name]["command"][:4] == ["python", "-m", "ops.site", name]


def test_health_knows_the_same_roles_and_sites() -> None:
    assert health.ROLES == topics.ROLES
    assert health.SITES == site.NAMES


@pytest.mark.parametrize("name", sorted(KEPT))
def test_a_service_tells_its_health_and_comes_back(name: str) -> None:
    service = KEPT[name]
    assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    assert service["restart"] == "unless-stopped"
    assert "limits" in service["deploy"]["resources"]


@pytest.mark.parametrize("name", site.NAMES)
def test_health_is_asked_of_the_right_site(name: str) -> None:
    service = SERVICES[name]
    assert service["healthcheck"]["test"] == ["CMD", "python", "-m", "ops.health", name, *service["command"][-2:]]


@pytest.mark.parametrize("role", topics.ROLES)
def test_health_is_asked_of_the_slot_that_was_taken(role: str, tmp_path: Path) -> None:
    how, line = SERVICES[role]["healthcheck"]["test"]
    assert how == "CMD-SHELL"
    (tmp_path / "slot").write_text("7\n")
    (tmp_path / "python").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "python").chmod(0o755)
    line = line.replace("$$", "$").replace(SLOT_FILE, str(tmp_path / "slot"))  # compose makes one $ of two
    said = subprocess.run(["/bin/sh", "-c", line], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["-m", "ops.health", role, "7"]


@pytest.mark.parametrize("role", topics.ROLES)
def test_workers_of_a_role_see_each_others_slots_and_no_others_slot_file(role: str) -> None:
    """`--slot auto` needs one folder of locks for all; the number taken is each container's own."""
    service = SERVICES[role]
    assert "run:/var/lib/hailong/run" in service["volumes"]
    assert str(Path(SLOT_FILE).parent) in service["tmpfs"]
    assert not {"container_name", "ports"} & set(service), "it could not be scaled"


@pytest.mark.parametrize("name", sorted(OURS))
def test_ours_runs_with_few_rights(name: str) -> None:
    service = OURS[name]
    assert service["user"] == "10001:10001"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert importlib.util.find_spec(_module(service)) is not None


@pytest.mark.parametrize("name", sorted({*topics.ROLES, *site.NAMES}))
def test_it_waits_for_setup_and_the_stores(name: str) -> None:
    conditions = {other: how["condition"] for other, how in SERVICES[name]["depends_on"].items()}
    assert conditions == dict.fromkeys(STORES, "service_healthy") | {"setup": "service_completed_successfully"}


@pytest.mark.parametrize("name", sorted({*OURS} - {"carrier"}))
def test_every_setting_is_one(name: str) -> None:
    told = SERVICES[name]["environment"]
    assert set(told) <= KNOWN
    given = {key: re.sub(r"\$\{\w+(?::-(.*?)|:\?.*?)?\}", lambda m: m.group(1) or "", str(value)) for key, value in told.items()}
    numbers = {"HAILONG_SMTP_PORT", "HAILONG_SMTP_TLS"}
    settings.load({key: value for key, value in given.items() if value or key in numbers})


def test_no_password_stands_anywhere() -> None:
    for name, service in SERVICES.items():
        for key, value in (service.get("environment") or {}).items():
            secret = re.search(r"PASSWORD|TOKEN|SECRET|KEY", key)
            assert not secret or str(value).startswith("/run/secrets/") or key == "HAILONG_KEYS_DIR", f"{name}: {key}"
            assert not re.search(r"//[^/\s]*:[^/@\s]+@", str(value)), f"{name}: {key} holds a password"


def test_each_service_mounts_only_secrets_there_are() -> None:
    declared = set(yaml.safe_load(TEXT)["secrets"])
    mounted = {secret for service in SERVICES.values() for secret in service.get("secrets", [])}
    assert mounted == declared
    assert "twilio_token" not in SERVICES["decide"]["secrets"]


def test_what_is_published_is_published_on_this_machine_only() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(published) == {*site.NAMES, "carrier"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_keys_are_written_by_setup_and_timer_only() -> None:
    writers = {name for name, s in OURS.items() if any(v == "keys:/var/lib/hailong-keys" for v in s.get("volumes", []))}
    assert writers == {"setup", "timer"}


def test_the_example_names_every_variable_and_no_other() -> None:
    wanted = set(re.findall(r"\$\{(\w+)", TEXT)) - {"HAILONG_VERSION"}
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    given = set(re.findall(r"^(\w+)=", example, re.M)) - {"COMPOSE_PROFILES"}
    assert given == wanted


def test_a_variable_without_default_says_what_to_do() -> None:
    example = dict(re.findall(r"^(\w+)=(.*)$", (ROOT / ".env.example").read_text(encoding="utf-8"), re.M))
    for name in (name for name, value in example.items() if not value):
        assert re.search(rf"\$\{{{name}(:-|:\?\w[^}}]+)\}}" if name in MAY_BE_EMPTY else rf"\$\{{{name}:\?\w[^}}]+\}}", TEXT), name


def test_the_image_is_locked_and_runs_as_nobody_in_particular() -> None:
    image = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert "--require-hashes" in image
    assert "requirements-dev" not in image
    assert image.rindex("USER 10001") > image.rindex("FROM ")
    left_out = re.search(r"\^\(([\w|-]+)\)==", image)
    assert left_out is not None
    locked = set(re.findall(r"^([\w-]+)==", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.M))
    assert set(left_out.group(1).split("|")) <= locked


def test_the_image_holds_every_room() -> None:
    image = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    contract = (ROOT / ".importlinter").read_text(encoding="utf-8")
    rooms = contract.partition("root_packages =")[2].partition("include_")[0].split()
    for room in rooms:
        assert f"COPY {room} /opt/hailong/{room}\n" in image
        assert f"!{room}" in ignored
