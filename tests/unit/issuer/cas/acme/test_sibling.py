from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from issuer.cas.acme.presets import PRESETS
from issuer.cas.acme.settings import CaSettings
from issuer.cas.acme.sibling import sibling_of

STAGING = "https://acme-staging-v02.api.letsencrypt.org/directory"


def _ca(**fields: Any) -> CaSettings:
    return CaSettings.model_validate({"name": "a-ca", **fields})


@pytest.mark.parametrize("preset", ["letsencrypt", "letsencrypt-staging"])
def test_orders_for_tests_go_to_staging(preset: str) -> None:
    sibling = sibling_of(_ca(preset=preset, challenges=["dns-01"]))
    assert sibling is not None
    assert sibling.directory_url == STAGING
    assert [kind.value for kind in sibling.challenges] == ["dns-01"]


def test_no_sibling_of_a_preset_is_a_ca_for_production() -> None:
    siblings = {preset.sibling for preset in PRESETS.values() if preset.sibling is not None}
    assert siblings == {"letsencrypt-staging"}


def test_a_ca_of_ones_own_has_the_sibling_that_is_named() -> None:
    own = {"directory_url": "https://ca.test/dir", "challenges": ["http-01"]}
    eab = {"kid": "k", "hmac_key_file": Path("hmac")}
    assert sibling_of(_ca(**own)) is None
    sibling = sibling_of(_ca(**own, eab=eab, profile="gold", sibling_url="https://try.ca.test/dir"))
    assert sibling is not None
    assert (sibling.directory_url, sibling.eab, sibling.profile) == ("https://try.ca.test/dir", None, None)


def test_a_ca_for_production_is_no_sibling() -> None:
    production = _ca(preset="letsencrypt").directory_url
    with pytest.raises(ValidationError, match=r"sibling_url(.|\n)*is the address of Let's Encrypt"):
        _ca(preset="letsencrypt-staging", sibling_url=production)


@pytest.mark.parametrize("ca", [{"directory_url": "https://ca.test/dir"}, {"preset": "letsencrypt"}])
def test_the_ca_itself_is_no_sibling(ca: dict[str, str]) -> None:
    itself = _ca(**ca).directory_url
    with pytest.raises(ValidationError, match=r"sibling_url(.|\n)*is the CA's own address"):
        _ca(**ca, sibling_url=itself)
