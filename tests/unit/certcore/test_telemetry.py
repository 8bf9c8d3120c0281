from certcore.telemetry import redact


def test_a_private_key_never_reaches_a_log_line() -> None:
    event = {
        "event": "failed",
        "detail": "x -----BEGIN PRIVATE KEY----- y",
        "nested": {"a": ["BEGIN EC PRIVATE KEY"]},
    }
    redacted = redact(None, "info", event)
    assert redacted == {"event": "failed", "detail": "[redacted: private key]", "nested": "[redacted: private key]"}


def test_everything_else_is_left_as_it_is() -> None:
    event = {"event": "certificate_live", "revision": 3}
    assert redact(None, "info", dict(event)) == event
