import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import pulseload
from commands import settings_page
from commands.main import main
from contracts import asyncapi
from tests.examples import github_pull_request, github_push, job

NOWHERE = "amqp://me:s3cret@127.0.0.1:1/"
"""Nothing listens at port 1."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, with none of one's own settings."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("PULSE")]:
        monkeypatch.delenv(name)
    return tmp_path


def run(*arguments: str, stdin: bytes | None = None, **environ: str) -> Result:
    return CliRunner().invoke(main, arguments, input=stdin, env=environ)


def failed(result: Result) -> str:
    """Check that a command failed as it must, and return its one line."""
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("pulseload: ")
    assert result.stderr.count("\n") == 1
    assert "s3cret" not in result.stderr
    return result.stderr


def test_version() -> None:
    assert run("--version").stdout == f"pulseload {pulseload.__version__}\n"


@pytest.mark.parametrize(
    "command",
    [
        *("bridge", "check", "contracts", "inspect", "job", "lag", "pending", "publish"),
        *("push", "topics"),
    ],
)
def test_every_command_has_help_with_examples(command: str) -> None:
    assert f"  {command} " in run("--help").stdout
    help_ = run(command, "--help")
    assert help_.exit_code == 0
    assert f"  pulseload {command}" in help_.stdout.partition("Examples:")[2]


@pytest.mark.parametrize("command", ["dead-letters", "expired"])
@pytest.mark.parametrize("part", ["list", "show", "replay"])
def test_every_command_about_letters_has_help_with_examples(command: str, part: str) -> None:
    assert f"  {part} " in run(command, "--help").stdout
    help_ = run(command, part, "--help")
    assert help_.exit_code == 0
    assert f"  pulseload {command} {part}" in help_.stdout.partition("Examples:")[2]
    assert ("--topic" in help_.stdout) == (command == "dead-letters")


def test_contracts_are_printed_as_they_are_in_the_documentation() -> None:
    result = run("contracts")
    assert (result.exit_code, result.stdout) == (0, asyncapi.FILE.read_text())


@pytest.mark.parametrize(
    "arguments",
    [
        ("nothing",),
        ("dead-letters", "list", "--limit", "0"),
        ("dead-letters", "list", "--topic", "jobs.joined"),
        ("dead-letters", "show"),
        ("expired", "show", "17"),
        ("expired", "replay", "--since", "yesterday"),
        ("topics", "--nothing"),
        ("check", "--section", "nothing"),
        ("publish", "key", NOWHERE),
        ("publish", "key", NOWHERE, "file", "--profile", "nothing"),
        ("publish", "k" * 256, NOWHERE, "file"),
        ("job",),
        ("job", ""),
        ("job", "an/0", "--since", "yesterday"),
        ("push",),
        ("push", "autoland"),
        ("push", "autoland:"),
        ("pending", "--push", ":00"),
        ("pending", "--limit", "0"),
        ("lag", "--nothing"),
        ("inspect",),
        ("inspect", "exchange/hgpushes/v1", "--count", "0"),
        ("inspect", "x" * 256),
        ("inspect", "exchange/hgpushes/v1", "k" * 256),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Usage: " in result.stderr


@pytest.mark.parametrize(
    "command", ["bridge", "topics", "pending", "job an/0", "push try:00", "inspect exchange", "lag"]
)
def test_wrong_settings_end_a_command(command: str) -> None:
    assert "PULSELOAD_PARTITIONS is 0" in failed(run(*command.split(), PULSELOAD_PARTITIONS="0"))


def test_ctrl_c_ends_a_command_without_a_traceback(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        command = subprocess.Popen(
            [Path(sys.executable).parent / "pulseload", "topics"],
            env={**os.environ, "KAFKA_URL": address},
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        silent.settimeout(60)
        connection, _ = silent.accept()
        with connection:
            command.send_signal(signal.SIGINT)
            assert command.communicate(timeout=60) == (b"", b"")
    assert command.returncode == 130


def test_check_says_what_is_wrong_with_the_settings() -> None:
    result = run("check", "--json", PULSELOAD_PARTITIONS="0")
    assert result.exit_code == 1
    (finding,) = json.loads(result.stdout)
    assert (finding["section"], finding["verdict"]) == ("settings", "problem")
    assert finding["text"].startswith("PULSELOAD_PARTITIONS is 0")


def test_check_points_out_unknown_names() -> None:
    good = run("check", "--section", "settings")
    assert good.exit_code == 0
    assert good.stdout.startswith("ok       settings ")
    bad = run("check", "--section", "settings", PULSELOAD_STAGE="join")
    assert bad.exit_code == 1
    assert "PULSELOAD_STAGE is no setting; did you mean PULSELOAD_STAGES?" in bad.stdout


def test_publish_refuses_what_is_invalid_before_it_connects(folder: Path) -> None:
    body = json.dumps([job(), job(state="complete"), job(tier=9)])
    (folder / "jobs.json").write_text(body)
    said = failed(run("publish", "key", NOWHERE, "jobs.json"))
    assert "jobs.json: item 1: state: 'complete' is not one of" in said
    assert "(and 1 more items); nothing was published" in said


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the value is empty"),
        (b"{", "no JSON at line 1"),
        (b"\xff", "no UTF-8 at byte 0"),
        (b'"text"', "not an object"),
        (b"[]", "no items"),
        (b"{}", "'taskId' is a required property"),
        (b"[" * 100_000, "nested too deep"),
        (b"[1]", "item 0: a number and not an object"),
    ],
)
def test_publish_says_why_a_payload_is_refused(body: bytes, reason: str) -> None:
    said = failed(run("publish", "key", NOWHERE, "-", stdin=body))
    assert "standard input: " in said
    assert reason in said


def test_publish_judges_by_the_profile_that_is_named() -> None:
    body = json.dumps(job()).encode()
    arguments = ("publish", "key", NOWHERE, "-", "--profile")
    assert "'kind' is a required" in failed(run(*arguments, "pulse-job-2016", stdin=body))
    assert "nothing listens at" in failed(run(*arguments, "pulse-job", stdin=body))


def test_publish_judges_messages_about_pushes_by_their_own_form() -> None:
    arguments = ("publish", "key", NOWHERE, "-", "--exchange", "exchange/hgpushes/v1")
    said = failed(run(*arguments, stdin=b'{"payload": {"repo_url": "x"}}'))
    assert "payload: 'heads' is a required property" in said
    push = {"payload": {"repo_url": "https://hg.mozilla.org/try", "heads": ["0" * 40]}}
    assert "nothing listens at" in failed(run(*arguments, stdin=json.dumps(push).encode()))


def test_publish_judges_messages_of_github_too() -> None:
    for name, message in (("push", github_push()), ("pull-request", github_pull_request())):
        arguments = ("publish", "key", NOWHERE, "-", "--exchange")
        exchange = f"exchange/taskcluster-github/v1/{name}"
        said = failed(run(*arguments, exchange, stdin=b'{"details": {}}'))
        assert "neither details nor body tell the address" in said
        body = json.dumps(message).encode()
        assert "nothing listens at" in failed(run(*arguments, exchange, stdin=body))


def test_publish_without_validation_takes_anything() -> None:
    said = failed(run("publish", "key", NOWHERE, "-", "--no-validate", stdin=b"\xff"))
    assert "nothing listens at 127.0.0.1:1" in said


def test_publish_needs_a_file_that_can_be_read(folder: Path) -> None:
    assert "cannot read absent.json: No such file" in failed(
        run("publish", "key", NOWHERE, "absent.json")
    )
    assert "Is a directory" in failed(run("publish", "key", NOWHERE, str(folder)))


def test_publish_needs_an_amqp_url() -> None:
    body = json.dumps(job()).encode()
    said = failed(run("publish", "key", "http://me:s3cret@host/", "-", stdin=body))
    assert "http://me:***@host/ is no AMQP URL" in said


def test_the_page_of_the_settings_is_current() -> None:
    assert settings_page.PAGE.read_text(encoding="utf-8") == settings_page.page(), (
        "run `python -m commands.settings_page`"
    )


def test_the_page_names_every_setting_and_its_variable() -> None:
    page = settings_page.page()
    for key in ("pulse_data_ingestion_sources", "kafka_url", "pending_max_age"):
        assert f"## `{key}`" in page
        assert f"`{key.upper()}` in the environment" in page
