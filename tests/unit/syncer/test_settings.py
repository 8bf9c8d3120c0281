from pathlib import Path

import pytest

from certcore.sealing import generate_recipient_key
from certkit.settings import load_settings
from syncer.settings import SyncerSettings

BASE = """
place = "site1"
bus = { identity = "site1-syncer" }
http = { plain_text = true }
registry = { token_file = "FOLDER/token" }
recipient = { name = "site1-syncer", key_file = "FOLDER/key" }
"""


def _load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str = "") -> SyncerSettings:
    file = tmp_path / "syncer.toml"
    file.write_text(BASE.replace("FOLDER", str(tmp_path)) + more)
    (tmp_path / "token").write_text("none")
    generate_recipient_key("site1-syncer", tmp_path / "key")
    monkeypatch.setenv("CERTBUS_CONFIG_FILE", str(file))
    return load_settings(SyncerSettings)


def test_a_host_needs_no_cluster_and_the_rounds_have_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = '[targets.files.default]\ndirectory = "/live"\nreload = ["systemctl", "reload", "nginx"]\n'
    settings = _load(tmp_path, monkeypatch, more)
    assert settings.targets == {
        "files": {"default": {"directory": "/live", "reload": ["systemctl", "reload", "nginx"]}}
    }
    assert (settings.reconcile_every_s, settings.review_every_s, settings.heartbeat_every_s) == (60, 300, 15)


def test_a_destination_can_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CERTBUS_SYNCER_TARGETS__FILES__DEFAULT__DIRECTORY", "/live")
    monkeypatch.setenv("CERTBUS_SYNCER_TARGETS__FILES__DEFAULT__RELOAD", '["systemctl", "reload", "nginx"]')
    settings = _load(tmp_path, monkeypatch)
    assert settings.targets == {
        "files": {"default": {"directory": "/live", "reload": ["systemctl", "reload", "nginx"]}}
    }


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ('[targets.files.default]\ndirectory = "/live"\nreload = "nginx"\n', "targets.files.default.reload"),
        ('[targets.files.default]\ndirectory = "/live"\nreload = []\n', "targets.files.default.reload"),
        ("[targets.files.Default]\n", "targets.files.Default"),
        ("[targets.files.default]\n", "targets.files.default.directory"),
        ("[targets.files.default]\nfolder = '/live'\n", "targets.files.default.folder"),
        ("[targets.kubernetes.blue]\nkubeconfig = 7\n", "targets.kubernetes.blue.kubeconfig"),
        ("[targets.haproxy.default]\n", "targets.haproxy: is no kind that the syncer delivers to"),
        ("[stores.default]\ndirectory = '/live'\n", "stores"),
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


EDGE = '[challenges.edge]\nkind = "haproxy_map"\nsockets = ["/run/h.sock"]\nmap = "/etc/haproxy/acme.map"\n'


def test_places_for_answers_to_challenges_have_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = f'{EDGE}match = ["*.example.org"]\n[challenges.web]\nkind = "file"\nfolder = "/srv/acme"\n'
    settings = _load(tmp_path, monkeypatch, more)
    assert settings.challenges.keys() == {"edge", "web"}
    assert _load(tmp_path, monkeypatch).challenges == {}


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ('[challenges.web]\nkind = "webroot"\n', "challenges.web.kind: must be one of the installed kinds: file"),
        ('[challenges.web]\nkind = "file"\n', "challenges.web.folder"),
        ('[challenges.web]\nkind = "file"\nfolder = "/a"\ncheck_urls = ["https://h"]\n', "challenges.web.check_urls"),
        ('[challenges.web]\nkind = "file"\nfolder = "/a"\nmatch = ["*"]\n', "challenges.web.match"),
        (EDGE.replace("acme.map", "acme map"), "holds a character that HAProxy's commands can't carry"),
        (EDGE.replace('["/run/h.sock"]', "[]"), "challenges.edge.sockets"),
        (f'{EDGE}[challenges.web]\nkind = "file"\nfolder = "/a"\n', "challenges: edge and web both match everything"),
        ('[challenges.k]\nkind = "secret"\nnamespace = "A/b"\nsecret = "c"\n', "challenges.k.namespace"),
    ],
)
def test_a_wrong_place_for_answers_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    more: str,
    fault: str,
) -> None:
    with pytest.raises(SystemExit):
        _load(tmp_path, monkeypatch, more)
    assert fault in capsys.readouterr().err
