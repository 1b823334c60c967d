"""docker-compose.yml, .env.example and the image, as far as they can be held to the code without a container engine."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from hailong import settings
from hailong.domain.ways import Way
from ops import health, site, topics
from ops.wiring import Wiring

ROOT = Path(__file__).parents[2]
STORES = {"kafka", "clickhouse", "postgres"}
TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
SERVICES: dict[str, Any] = yaml.safe_load(TEXT)["services"]
SECRETS: dict[str, Any] = yaml.safe_load(TEXT)["secrets"]
OURS = {name: s for name, s in SERVICES.items() if name not in STORES}
KEPT = {name: s for name, s in SERVICES.items() if name != "setup"}
SLOT_FILE = "/tmp/slot"
KNOWN = {name for name, *_ in settings.table()}
MAY_BE_EMPTY = {
    f"HAILONG_{name}"
    for name in (
        "TRUSTED_PROXIES", "DESK_NETWORKS",
        "ALERT_MAILS_FROM", "CHANNEL_MODES", "ABROAD_BASIS", "GUESTS_FILE", "RULES_FILE", "TEMPLATES_DIR", "PRICES_FILE", "GATEWAY_FILE",
        "GATEWAY_BASE_URL", "RESERVES", "PROVIDER_RATES", "ZNS_APP_ID", "ZNS_SECRET_FILE", "ZNS_OA_SECRET_FILE", "SMTP_USER",
        "SMTP_PASSWORD_FILE",
    )
}  # fmt: skip
"""What an installation may leave as it is shipped."""
NOT_PASSED = {
    "as compose has it": {
        "kafka_replication", "clickhouse_database", "clickhouse_engine", "clock", "intake_url", "dashboard_loopback_only", "notice_file",
    },
    "for tries and proofs": {
        "spread_minutes", "slot_minutes", "cap_days", "too_old_days", "link_days", "ask_at_once", "any_hour", "proof_break",
    },
    "a default that holds until somebody measures": {
        "kafka_session_s", "provider_back_after_s", "send_parallel", "send_timeout_s", "lease_s", "reconcile_after_s", "reconcile_gap_s",
        "retry_base_s", "dead_letter_limit", "unknown_codes_per_minute", "default_target", "log_level", "archive_within_s",
        "commit_interval_s",
    },
    "Zalo's interface is real or not there": {"zns_base_url", "zns_oauth_url"},
    "wants a folder that something outside of compose reads or writes": {"print_dir", "bounce_maildir"},
}  # fmt: skip
"""Settings that compose does not pass, by the reason: one that is new is either passed or stands here."""
PROVIDERS = "./secrets/gateway:/run/gateway:ro"


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
    settings.load(_told(name))


def test_every_setting_is_passed_or_left_out_for_a_reason() -> None:
    """What is missing here cannot be set on servers at all: a container sees no other variable of .env."""
    passed = {key.removeprefix("HAILONG_").lower() for key in SERVICES["send"]["environment"]}
    left_out = [name for names in NOT_PASSED.values() for name in names]
    assert len(left_out) == len(set(left_out))
    assert not passed & set(left_out)
    assert passed | set(left_out) == {key.removeprefix("HAILONG_").lower() for key in KNOWN}


def _told(name: str, **env: str) -> dict[str, str]:
    """The environment of a service as compose makes it from .env."""
    pattern = re.compile(r"\$\{(\w+)(?::-(.*?)|:\?.*?)?\}")
    told = SERVICES[name]["environment"]
    return {key: pattern.sub(lambda m: env.get(m.group(1)) or m.group(2) or "", str(value)) for key, value in told.items()}


def _seen(name: str, place: str, here: Path) -> str:
    """A path inside a service, on this machine: its secrets, and the folders it has mounted from beside the compose file."""
    service = SERVICES[name]
    mounts = {inside: outside for outside, inside, *_ in (v.split(":") for v in service.get("volumes", []) if v.startswith("./"))}
    for inside, outside in mounts.items():
        if place.startswith(inside):
            return str(here / outside) + place.removeprefix(inside)
    secret = place.removeprefix("/run/secrets/")
    return str(here / SECRETS[secret]["file"]) if secret in service["secrets"] else place


PROVINCE = {
    "HAILONG_REGISTRY_ID": "t", "HAILONG_SURVEY_URL": "https://t", "HAILONG_MAIL_FROM": "a@t", "HAILONG_SMTP_HOST": "t",
    "HAILONG_SMS_PROVIDER": "gateway", "HAILONG_GATEWAY_FILE": "/etc/hailong/gateway.toml", "HAILONG_RESERVES": "sms=twilio",
    "HAILONG_PROVIDER_RATES": "gateway-json-example=5", "HAILONG_ZNS_APP_ID": "1", "HAILONG_ZNS_SECRET_FILE": "/run/gateway/zns_secret",
    "HAILONG_SMTP_USER": "u", "HAILONG_SMTP_PASSWORD_FILE": "/run/gateway/smtp_password",
}  # fmt: skip
"""A .env that names a gateway, Zalo and a relay with a sign-in."""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The folder of the compose file, with what .env names."""
    (tmp_path / "province").mkdir()
    (tmp_path / "secrets" / "gateway").mkdir(parents=True)
    shutil.copy(ROOT / "examples" / "gateways" / "json-example.toml", tmp_path / "province" / "gateway.toml")
    for file in ("json-example.token", "zns_secret", "smtp_password"):
        (tmp_path / "secrets" / "gateway" / file).write_text("s")
    for file in ("twilio_token", "postgres_password", "clickhouse_password"):
        (tmp_path / "secrets" / file).write_text("s")
    (tmp_path / "secrets" / "officers.toml").write_text('office = ["cl@t"]\n')
    return tmp_path


@pytest.mark.parametrize("name", sorted({*topics.ROLES, *site.NAMES, "setup"}))
def test_a_province_s_providers_reach_every_part(name: str, here: Path) -> None:
    """The ledger of every part knows who carries what; so every part reads the description, and its secrets."""
    told = {key: _seen(name, value, here) for key, value in _told(name, **PROVINCE).items()}
    given = settings.load({key: value for key, value in told.items() if value})
    wiring = Wiring(given)
    assert wiring.ways["sms"] == Way("gateway-json-example", "twilio")
    assert wiring.ways["zns"] == Way("zns")
    assert given.provider_rates == "gateway-json-example=5"


def test_only_what_every_province_has_is_compulsory() -> None:
    """A province with a gateway has no account at Twilio; a .env without it must start."""
    assert set(re.findall(r"\$\{(\w+):\?", TEXT)) == {f"HAILONG_{name}" for name in ("REGISTRY_ID", "SURVEY_URL", "MAIL_FROM", "SMTP_HOST")}


def test_send_opens_every_provider(here: Path) -> None:
    told = {key: _seen("send", value, here) for key, value in _told("send", **PROVINCE).items()}
    assert set(Wiring(settings.load({key: value for key, value in told.items() if value})).out.open()) == {
        "gateway-json-example", "twilio", "smtp", "zns",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["send", "timer", "survey"])
def test_who_writes_to_officers_can_read_who_they_are(name: str, here: Path) -> None:
    """The survey site does when somebody reports a fake."""
    told = _seen(name, _told(name)["HAILONG_OFFICERS_FILE"], here)
    assert Wiring(settings.Settings(officers_file=told)).directory.office() == ["cl@t"]


def test_zalos_tokens_lie_where_send_alone_may_write() -> None:
    folder = str(Path(SERVICES["send"]["environment"]["HAILONG_ZNS_TOKEN_FILE"]).parent)
    assert [name for name, s in OURS.items() if f"zns:{folder}" in s.get("volumes", [])] == ["send"]
    assert folder in (ROOT / "Dockerfile").read_text(encoding="utf-8"), "a volume takes the owner of the folder it is laid over"


def test_the_folder_of_providers_secrets_is_there_and_nothing_in_it_is_committed(tmp_path: Path) -> None:
    assert all(PROVIDERS in OURS[name]["volumes"] for name in {*topics.ROLES, *site.NAMES, "setup"})
    shutil.copytree(
        ROOT / "secrets", tmp_path / "secrets", ignore=lambda _folder, names: {n for n in names if n not in (".gitignore", "gateway")}
    )
    for file in ("postgres_password", "gateway/token"):
        (tmp_path / "secrets" / file).write_text("s")
    git = ["git", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "--quiet"], check=True)
    kept = subprocess.run([*git, "ls-files", "--others", "--exclude-standard"], capture_output=True, text=True, check=True).stdout.split()
    assert sorted(kept) == ["secrets/.gitignore", "secrets/gateway/.gitignore"]


def test_no_password_stands_anywhere() -> None:
    for name, service in SERVICES.items():
        for key, value in (service.get("environment") or {}).items():
            secret = re.search(r"PASSWORD|TOKEN|SECRET|KEY", key)
            path = value == f"${{{key}:-}}" if key.endswith("_FILE") else False  # of a file, in .env
            places = ("/run/secrets/", "/run/gateway", "/var/lib/hailong-keys", "/var/lib/hailong/zns/")
            assert not secret or path or str(value).startswith(places), f"{name}: {key}"
            assert not re.search(r"//[^/\s]*:[^/@\s]+@", str(value)), f"{name}: {key} holds a password"


def test_each_service_mounts_only_secrets_there_are() -> None:
    declared = set(SECRETS)
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
