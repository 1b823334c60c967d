"""What a gateway's description must say: each fault is named with its key, its cause and the next step."""

from pathlib import Path

import pytest

from surveys.channels.gateway_file import GatewayFileError, InPath, load, parse, secret_files
from tests.channels.gateways import FORM, JSON

EXAMPLES = Path(__file__).parents[2] / "examples" / "gateways"


@pytest.mark.parametrize("name", ["json-example", "form-example"])
def test_the_examples_hold_and_say_that_they_are_invented(name: str, tmp_path: Path) -> None:
    file = EXAMPLES / f"{name}.toml"
    for secret in secret_files(parse(file.read_text("utf-8"), name)):
        (tmp_path / secret).write_text("geheim\n")
    gateway = load(file, tmp_path)
    assert gateway.told.name == name
    assert set(gateway.secrets.values()) == {b"geheim"}
    assert "INVENTED" in file.read_text("utf-8")
    assert gateway.provider == f"gateway-{name}"
    ending = "/geheim" if gateway.told.receipts and isinstance(gateway.told.receipts.auth, InPath) else ""
    assert gateway.address("https://ks.example/") == f"https://ks.example/receipts/gateway/{name}{ending}"
    assert gateway.address("https://ks.example", "inbound") == f"https://ks.example/inbound/gateway/{name}{ending}"


@pytest.mark.parametrize(
    ("text", "old", "new", "key", "cause"),
    [
        (JSON, "https://sms.json-example.invalid/json-example/v1/messages\"", "http://sms.example/x\"", "send.url", "not an https"),
        (JSON, "v1/messages\"", "v1/messages?key=1\"", "send.url", "has a query"),
        (JSON, 'name = "json-example"', 'name = "Json Example"', "name", "regex"),
        (JSON, "idempotent = true", "idempotent = 1", "send.idempotent", "Expected `bool`"),
        (JSON, "idempotent = true", "idempotent = true\nretries = 3", "send", "unknown field `retries`"),
        (JSON, "idempotent = true", "idempotent = false", "status", "only where send.idempotent"),
        (JSON, 'client_id = "{id}"', "", "send.fields", "no field carries {id}"),
        (JSON, 'content = "{text}"', 'content = "{txet}"', "send.fields.content", "there is no {txet} here"),
        (JSON, 'content = "{text}"', "", "send.fields", "no field carries {text}"),
        (JSON, 'brand = "HCC HOABINH"', 'brand = "HCC HÒA BÌNH"', "send.brand", "1 to 11 plain"),
        (JSON, 'accepted = ["0"]\nmessage', "message", "status.answer.accepted", "empty"),
        (JSON, "statuses = [202]", "statuses = []", "answer.statuses", "empty"),
        (JSON, '"1" = { means = "settings" }', '"1" = { means = "sure" }', "codes", "Invalid enum value"),
        (JSON, 'reason = "opted_out"', 'reason = "he said no"', "codes", "Invalid enum value"),
        (JSON, 'kind = "bearer"', 'kind = "carrier"', "auth", "Invalid value 'carrier'"),
        (JSON, 'signed = "{time}.{body}"', 'signed = "{time}"', "receipts.auth.signed", "covers nothing"),
        (JSON, 'time_header = "X-Example-Time"', "", "receipts.auth.time_header", "covers {time}"),
        (JSON, 'header = "X-Example-Signature"', "", "receipts.auth.header", "name the header"),
        (JSON, 'secret_file = "json-example.token"\n\n[answer]', 'secret_file = "../token"\n\n[answer]', "secret_file", "is a path"),
        (JSON, "/messages/{id}", "/messages", "status.url", "nothing carries {id}"),
        (FORM, 'body = "form"', 'body = "query"\n[send.headers]\nX = "{body}"\n[nothing]', "the file", "unknown field"),
        (FORM, 'method = "POST"', 'method = "GET"', "send.body", "a GET carries"),
        (FORM, 'phone = "{phone0}"', 'phone = "{phone0}"\nkind = 3', "send.fields", "plain text fields only"),
        (FORM, "(?P<code>", "(?P<kode>", "answer.pattern", "a group named `code`"),
        (FORM, "(?P<code>", "(?P<code", "answer.pattern", "regular expression"),
        (FORM, "[[auth]]", "[auth]", "auth", "Expected `array`"),
        (FORM, "[send]", "[send", "", "not TOML"),
        (FORM, '"STOP"]', '"5"]', "inbound.stop_words", "`5` is an answer"),
        (FORM, '"STOP"]', '"7kq2 khong hai long", "..."]', "inbound.stop_words", "`...` has neither"),
        (FORM, '"STOP"]', '"hai long"]', "inbound.stop_words", "`hai long` is an answer"),
        (FORM, "REPLY|{id}|{text}", "REPLY|{id}", "inbound.reply.text", "write {text} once"),
        (FORM, "REPLY|{id}|{text}", "REPLY|{phone}|{text}", "inbound.reply.text", "there is no {phone} here"),
        (FORM, 'type = "text/plain"', 'type = "text"', "inbound.reply.type", "not a media type"),
        (FORM, 'type = "text/plain"', 'type = "text/xml"', "inbound.reply.text", "is no text/xml"),
        (FORM, "thanks = true", 'thanks = "yes"', "inbound.reply.thanks", "Expected `bool`"),
        (JSON, '{"reply": {"content": "{text}"}}', '{"reply": {text}}', "inbound.reply.text", "is no application/json"),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_key_cause_and_next_step(text: str, old: str, new: str, key: str, cause: str) -> None:
    assert old in text
    with pytest.raises(GatewayFileError) as raised:
        parse(text.replace(old, new, 1), "mine.toml")
    said = str(raised.value)
    assert said.startswith(f"mine.toml: {key}")
    assert cause in said
    assert said.endswith("start again.")


@pytest.mark.parametrize(
    ("content", "cause"), [(None, "No such file"), (b"", "is empty"), (b" \n", "is empty"), (b"\xff\xfe", "not ASCII")]
)
def test_a_secret_that_cannot_be_used_is_named_and_never_shown(content: bytes | None, cause: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "json-example.token").write_bytes(content)
    with pytest.raises(GatewayFileError, match=r"json-example\.token") as raised:
        load(EXAMPLES / "json-example.toml", tmp_path)
    assert cause in str(raised.value)


def test_a_file_that_is_not_there_names_its_setting(tmp_path: Path) -> None:
    with pytest.raises(GatewayFileError, match="HAILONG_GATEWAY_FILE"):
        load(tmp_path / "none.toml", tmp_path)
