from pathlib import Path

import pytest

from certkit.settings import load_settings
from syncer.settings import SyncerSettings

BASE = """
site = "site1"
bus = { identity = "site1-syncer" }
http = {}
registry = { token_file = "/token" }
recipient = { name = "site1-syncer", key_file = "/key" }
"""


def _load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str = "") -> SyncerSettings:
    file = tmp_path / "syncer.toml"
    file.write_text(BASE + more)
    monkeypatch.setenv("CERTBUS_CONFIG_FILE", str(file))
    return load_settings(SyncerSettings)


def test_a_host_needs_no_cluster_and_the_rounds_have_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = '[stores.default]\ndirectory = "/live"\nreload = ["systemctl", "reload", "nginx"]\n'
    settings = _load(tmp_path, monkeypatch, more)
    assert settings.clusters == ()
    assert settings.stores["default"].reload == ("systemctl", "reload", "nginx")
    assert (settings.reconcile_every_s, settings.review_every_s, settings.heartbeat_every_s) == (60, 300, 15)


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ('[[clusters]]\nname = "a"\n[[clusters]]\nname = "a"\n', "two have the same name"),
        ('[stores.default]\ndirectory = "/live"\nreload = "nginx -s reload"\n', "stores.default.reload"),
        ('[stores.default]\ndirectory = "/live"\nreload = []\n', "stores.default.reload"),
        ("[stores.Default]\n", "stores.Default"),
        ("[stores.default]\nfolder = '/live'\n", "stores.default.folder"),
    ],
)
def test_a_wrong_setting_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    more: str,
    fault: str,
) -> None:
    with pytest.raises(SystemExit):
        _load(tmp_path, monkeypatch, more)
    assert fault in capsys.readouterr().err
