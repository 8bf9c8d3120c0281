import stat
from pathlib import Path

from certlocal.nats_identities import NatsIdentities


def test_a_seed_is_made_once_and_private(tmp_path: Path) -> None:
    identities = NatsIdentities(tmp_path)
    file = identities.seed_file("issuer")
    seed = file.read_bytes()

    assert seed.startswith(b"SU")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert NatsIdentities(tmp_path).seed_file("issuer").read_bytes() == seed


def test_identities_have_public_keys_of_their_own(tmp_path: Path) -> None:
    keys = NatsIdentities(tmp_path).public_keys(["issuer", "monitor"])

    assert all(len(key) == 56 and key.startswith("U") for key in keys.values())
    assert keys["issuer"] != keys["monitor"]
    assert NatsIdentities(tmp_path).public_keys(["issuer"])["issuer"] == keys["issuer"]
