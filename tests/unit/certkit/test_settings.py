"""Plain text is refused unless it was asked for by name, and never leaves the machine."""

from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic_settings import SettingsConfigDict

from certkit.settings import (
    BusSettings,
    HttpSettings,
    RegistrySettings,
    ServiceSettings,
    SettingFault,
    faults_of,
    load_settings,
)

_TOKEN = Path("token")


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="CERTBUS_TEST_")

    registry: RegistrySettings


def _fault(model: type[BusSettings | HttpSettings | RegistrySettings], **given: object) -> SettingFault:
    with pytest.raises(ValidationError) as refused:
        model.model_validate(given)
    (fault,) = faults_of(refused.value)
    return fault


def test_a_plain_bus_is_refused_with_the_way_out() -> None:
    fault = _fault(BusSettings, url="nats://127.0.0.1:4222", identity="issuer")
    assert fault.field == ("url",)
    assert "give tls://…" in fault.problem
    assert "plain_text = true" in fault.problem


def test_a_plain_registry_is_refused_with_the_way_out() -> None:
    fault = _fault(RegistrySettings, url="http://localhost:8400", token_file=_TOKEN)
    assert fault.field == ("url",)
    assert "give https://…" in fault.problem
    assert "plain_text = true" in fault.problem


def test_a_plain_server_is_refused_with_the_way_out() -> None:
    fault = _fault(HttpSettings)
    assert fault.field == ("certificate_file",)
    assert "plain_text = true" in fault.problem


def test_plain_text_that_was_asked_for_is_allowed_at_a_loopback_address() -> None:
    bus = BusSettings(url="nats://[::1]:4222", identity="issuer", plain_text=True)
    registry = RegistrySettings(url="http://localhost:8400", token_file=_TOKEN, plain_text=True)
    http = HttpSettings(plain_text=True)
    assert [bus.tls_context(), registry.tls_context(), http.tls_context()] == [None, None, None]
    assert http.url == "http://127.0.0.1:8400"


def test_and_at_no_other_whatever_was_asked_for() -> None:
    bus = _fault(BusSettings, url="nats://broker.example.org:4222", identity="issuer", plain_text=True)
    registry = _fault(RegistrySettings, url="http://10.0.0.1", token_file=_TOKEN, plain_text=True)
    http = _fault(HttpSettings, host="0.0.0.0", plain_text=True)  # noqa: S104 # refused
    assert "broker.example.org is none" in bus.problem
    assert "10.0.0.1 is none" in registry.problem
    assert "0.0.0.0 is none" in http.problem


def test_a_plain_monitoring_of_the_broker_is_refused_too() -> None:
    bus = {"url": "tls://127.0.0.1:4222", "identity": "issuer"}
    assert _fault(BusSettings, **bus, monitor_url="http://127.0.0.1:8222").field == ("monitor_url",)
    away = _fault(BusSettings, **bus, monitor_url="http://broker.example.org:8222", plain_text=True)
    assert "broker.example.org is none" in away.problem


@pytest.mark.parametrize("url", ["", "4222", "127.0.0.1:4222", "ws://127.0.0.1:1", "tls://", "tls://[::1"])
def test_what_is_no_url_of_a_broker_is_refused(url: str) -> None:
    assert _fault(BusSettings, url=url, identity="issuer", plain_text=True).problem.endswith(
        "must be a URL of the form tls://HOST"
    )


def test_a_certificate_without_its_key_is_refused_and_a_key_without_its_certificate() -> None:
    bus = {"url": "tls://127.0.0.1:4222", "identity": "issuer"}
    assert _fault(BusSettings, **bus, certificate_file="own.pem").field == ("key_file",)
    assert _fault(BusSettings, **bus, key_file="own.key").field == ("key_file",)
    assert _fault(HttpSettings, certificate_file="own.pem").field == ("key_file",)


def test_a_file_that_can_not_be_used_is_told_by_its_field_with_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "roots.pem").write_text("nothing of the kind\n")
    monkeypatch.setenv("CERTBUS_TEST_BUS__IDENTITY", "test")
    monkeypatch.setenv("CERTBUS_TEST_BUS__CA_FILE", str(tmp_path / "roots.pem"))
    monkeypatch.setenv("CERTBUS_TEST_HTTP__PLAIN_TEXT", "true")
    monkeypatch.setenv("CERTBUS_TEST_REGISTRY__TOKEN_FILE", "token")
    monkeypatch.setenv("CERTBUS_TEST_REGISTRY__CA_FILE", str(tmp_path / "missing.pem"))
    with pytest.raises(SystemExit) as left:
        load_settings(Settings)
    assert left.value.code == 2
    first, second, third = capsys.readouterr().err.splitlines()
    assert first.startswith(f"setting bus.ca_file: {tmp_path}/roots.pem: holds no certificates in PEM")
    assert "CERTBUS_TEST_BUS__CA_FILE" in first
    assert second.startswith(f"setting registry.ca_file: {tmp_path}/missing.pem: can't be read: No such file")
    assert third.startswith("setting registry.token_file: token: can't be read: No such file")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "No such file or directory"),
        (b"bus = {", "is no TOML: "),
        (b"\xff\xfe", "is no TOML: "),
    ],
)
def test_a_settings_file_that_can_not_be_read_is_told_by_its_path(
    content: bytes | None,
    problem: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "service.toml"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv("CERTBUS_CONFIG_FILE", str(file))
    with pytest.raises(SystemExit) as left:
        load_settings(Settings)
    assert left.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"CERTBUS_CONFIG_FILE {file}: {problem}")


@pytest.mark.parametrize("content", ["", "two words", "zwölf", "cb_a\nb"])
def test_a_file_that_holds_no_token_is_told_without_what_it_holds(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "token").write_text(content)
    monkeypatch.setenv("CERTBUS_TEST_BUS", '{"identity": "test", "url": "nats://127.0.0.1:9", "plain_text": true}')
    monkeypatch.setenv("CERTBUS_TEST_HTTP__PLAIN_TEXT", "true")
    monkeypatch.setenv("CERTBUS_TEST_REGISTRY__TOKEN_FILE", str(tmp_path / "token"))
    with pytest.raises(SystemExit) as left:
        load_settings(Settings)
    assert left.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line == (
        f"setting registry.token_file: {tmp_path}/token: holds no token: one line, as given"
        " (set CERTBUS_TEST_REGISTRY__TOKEN_FILE, or registry.token_file in $CERTBUS_CONFIG_FILE)"
    )
