"""The settings that are secrets, or might hold one: none is shown."""

from pathlib import Path

import pytest

from pulseload import settings
from tests.unit.settings_files import load, refused


@pytest.mark.parametrize(
    "url",
    [
        "amqp://me:s3cret@host:port/",
        "amqp://me:s3cret",
        "me:s3cret@host",
        "https://me:s3cret@host/",
        "amqp://me:s3 cret@host",
        "amqp://me:s3cret@/x",
        "amqp://:s3cret@",
        "amqp://me:s3cret#@host:5672/",
    ],
)
def test_a_wrong_amqp_url_does_not_show_its_password(tmp_path: Path, url: str) -> None:
    text = refused(tmp_path, {"PULSE_DATA_INGESTION_CONFIG": url})
    assert text.startswith("PULSE_DATA_INGESTION_CONFIG")
    assert "cret" not in text


@pytest.mark.parametrize(
    "url",
    [
        "http://me:s3cret@host",
        "https://s3cret:x-oauth-basic@api.github.com",
        "https://s3cret@api.github.com/",
        "me:s3cret@host",
        "https://api.github.com/?access_token=s3cret",
        "https://api.github.com/#s3cret",
    ],
)
def test_githubs_address_holds_no_secret(tmp_path: Path, url: str) -> None:
    text = refused(tmp_path, {"PULSELOAD_GITHUB_API": url})
    assert text.startswith("PULSELOAD_GITHUB_API is not shown, as it may hold a password; allowed")
    assert text.endswith("; a token goes into pulseload_github_token")
    assert "cret" not in text + refused(tmp_path, pulseload_github_api=url)


def test_passwords_are_hidden_deep_inside_a_wrong_value(tmp_path: Path) -> None:
    text = refused(tmp_path, pulse_queue=[{"x": ["http://me:s3cret@host"]}])
    assert "s3cret" not in text
    assert "http://me:***@host" in text


def test_a_secret_is_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("amqps://me:top-secret@host/\n")
    found = load(tmp_path, {"PULSE_DATA_INGESTION_CONFIG_FILE": "url"}, pulse_queue="mine")
    assert found.pulse_data_ingestion_config == "amqps://me:top-secret@host/"
    assert "top-secret" not in repr(found)
    assert settings.unknown_names({"PULSE_DATA_INGESTION_CONFIG_FILE": "url"}) == []


def test_a_secret_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    assert "cannot read" in refused(tmp_path, {"KAFKA_SASL_PASSWORD_FILE": "none"})
    (tmp_path / "two").write_text("x")
    both = {"KAFKA_SASL_PASSWORD_FILE": "two", "KAFKA_SASL_PASSWORD": "y"}
    assert refused(tmp_path, both) == (
        "KAFKA_SASL_PASSWORD and KAFKA_SASL_PASSWORD_FILE are both set; leave one out"
    )
    (tmp_path / "two").write_bytes(b"\xff")
    line = refused(tmp_path, {"PULSE_BINDINGS_API_FILE": "two"})
    assert line.endswith("two is no text in UTF-8")


def test_a_login_needs_user_and_password(tmp_path: Path) -> None:
    environ = {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_USERNAME": "me"}
    assert refused(tmp_path, environ) == (
        "kafka_sasl_password is not set; KAFKA_SECURITY_PROTOCOL SASL_SSL needs it"
    )
    line = refused(tmp_path, environ, kafka_sasl_password=123456)
    assert "not shown" in line
    assert "123456" not in line
