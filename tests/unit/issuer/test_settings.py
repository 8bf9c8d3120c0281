from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from issuer.settings import Settings


def settings(**fields: Any) -> Settings:
    ca = {"name": "a-ca", "directory_url": "https://ca.test/dir", "challenges": ["http-01"]}
    return Settings(
        **{
            "bus": {"identity": "issuer"},
            "http": {"plain_text": True},
            "registry": {"token_file": Path("token")},
            "database_url": "sqlite+aiosqlite:///journal.db",
            "state_folder": Path("state"),
            "cas": [ca],
            "policy": {"internal": "a-ca", "public": "a-ca"},
            **fields,
        }
    )


def test_a_minimal_configuration_is_enough() -> None:
    assert settings().workers == 4


def test_a_policy_that_names_nobody_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"policy\.public: there is no CA named nobody"):
        settings(policy={"internal": "a-ca", "public": "nobody"})


def test_two_cas_of_one_name_are_refused() -> None:
    ca = {"name": "a-ca", "directory_url": "https://ca.test/dir", "challenges": ["http-01"]}
    with pytest.raises(ValidationError, match="two CAs have one name"):
        settings(cas=[ca, ca])


def test_dns_challenges_need_a_dns_to_set_them_in() -> None:
    ca = {"name": "a-ca", "directory_url": "https://ca.test/dir", "challenges": ["dns-01"]}
    with pytest.raises(ValidationError, match="this must say how records are set"):
        settings(cas=[ca])


@pytest.mark.parametrize("challenges", [[], ["tls-alpn-01"]])
def test_a_ca_without_a_usable_challenge_is_refused(challenges: list[str]) -> None:
    ca = {"name": "a-ca", "directory_url": "https://ca.test/dir", "challenges": challenges}
    with pytest.raises(ValidationError, match="challenges"):
        settings(cas=[ca])


def test_an_escrow_s_public_key_that_is_none_is_refused() -> None:
    with pytest.raises(ValidationError, match="not an X25519 public key"):
        settings(escrow_public_key="bm8ga2V5")
