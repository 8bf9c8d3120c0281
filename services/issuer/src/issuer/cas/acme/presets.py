"""Ready configurations of CAs with ACME, as data. docs/cas.md tells where each fact comes from.

Only Pebble and step-ca can be run where certbus is built; what is said of the others was read, not tried.
"""

from dataclasses import replace
from typing import Final

from certcore.certificate import KeyAlgorithm
from issuer.cas.acme.preset import ALL_KEYS, Binding, Preset, PresetError, Profile, Tried

__all__ = ["NO_PRESET", "PRESETS", "preset_of"]

_EC: Final = frozenset({KeyAlgorithm.EC_P256, KeyAlgorithm.EC_P384})
_RSA: Final = frozenset({KeyAlgorithm.RSA_2048, KeyAlgorithm.RSA_3072})

_SSLCOM_ECC: Final = "https://acme.ssl.com/sslcom-dv-ecc"
_SSLCOM_RSA: Final = "https://acme.ssl.com/sslcom-dv-rsa"

_HTTP_AND_DNS: Final = frozenset({"http-01", "dns-01"})
_WITH_TLS_ALPN: Final = _HTTP_AND_DNS | {"tls-alpn-01"}

_LETS_ENCRYPT: Final = (
    Profile("classic", max_names=100),
    Profile("tlsserver", max_names=25),
    Profile("shortlived", max_names=25),
    Profile("tlsclient", ended="2026-07-08"),
)

_PRODUCTION: Final = Preset(
    name="letsencrypt",
    title="Let's Encrypt",
    tried=Tried.READ,
    public=True,
    directory_urls=("https://acme-v02.api.letsencrypt.org/directory",),
    account_keys=ALL_KEYS,
    challenges=_WITH_TLS_ALPN,
    key_change=True,
    profiles=_LETS_ENCRYPT,
    # What is chosen where nobody asks; asked for by name, a change of the default is noticed.
    profile="classic",
    ari=True,
    max_names=100,
    limits="letsencrypt",
    sibling="letsencrypt-staging",
)
_STAGING: Final = replace(
    _PRODUCTION,
    name="letsencrypt-staging",
    title="Let's Encrypt's staging",
    directory_urls=("https://acme-staging-v02.api.letsencrypt.org/directory",),
    limits="letsencrypt-staging",
    # It is for tests itself.
    sibling="letsencrypt-staging",
)

_ALL: Final = (
    _PRODUCTION,
    _STAGING,
    Preset(
        name="sslcom",
        title="SSL.com",
        tried=Tried.READ,
        public=True,
        directory_urls=(_SSLCOM_ECC, _SSLCOM_RSA),
        any_directory=True,
        binding=Binding.REUSABLE,
        # An account without one is refused as late as at finalize, as badCSR.
        contact_needed=True,
        challenges=_HTTP_AND_DNS,
        leaf_keys_by_directory={_SSLCOM_ECC: _EC, _SSLCOM_RSA: _RSA},
        key_change=False,
    ),
    Preset(
        name="digicert",
        title="DigiCert CertCentral",
        tried=Tried.READ,
        public=True,
        directory_urls=("https://one.digicert.com/mpki/api/v1/acme/v2/directory",),
        any_directory=True,
        binding=Binding.NEEDED,
        challenges=_HTTP_AND_DNS,
        pre_validated=True,
        common_name=True,
        ari=True,
    ),
    Preset(
        name="zerossl",
        title="ZeroSSL",
        tried=Tried.READ,
        public=True,
        directory_urls=("https://acme.zerossl.com/v2/DV90",),
        binding=Binding.REUSABLE,
        key_change=False,
        ari=True,
        max_names=100,
    ),
    Preset(
        name="google",
        title="Google Trust Services",
        tried=Tried.READ,
        public=True,
        directory_urls=(
            "https://dv.acme-v02.api.pki.goog/directory",
            "https://dv.acme-v02.test-api.pki.goog/directory",
        ),
        binding=Binding.ONCE,
        key_change=True,
        ari=True,
        max_names=100,
    ),
    Preset(
        name="sectigo",
        title="Sectigo",
        tried=Tried.READ,
        public=True,
        directory_urls=("https://acme.sectigo.com/v2/DV",),
        any_directory=True,
        binding=Binding.REUSABLE,
        pre_validated=True,
    ),
    Preset(
        name="actalis",
        title="Actalis",
        tried=Tried.READ,
        public=True,
        directory_urls=("https://acme-api.actalis.com/acme/directory",),
        binding=Binding.NEEDED,
    ),
    Preset(
        name="step-ca",
        title="step-ca",
        tried=Tried.RUNS,
        public=False,
        binding=Binding.OPTIONAL,
        challenges=_WITH_TLS_ALPN,
        profiles=(),
        # Its directory lists one, which answers that it isn't implemented.
        key_change=False,
        ari=False,
    ),
    Preset(
        name="vault",
        title="Vault's PKI engine",
        tried=Tried.READ,
        public=False,
        binding=Binding.OPTIONAL,
        challenges=_WITH_TLS_ALPN,
        ari=False,
    ),
    Preset(
        name="openbao",
        title="OpenBao's PKI engine",
        tried=Tried.READ,
        public=False,
        binding=Binding.OPTIONAL,
        challenges=_WITH_TLS_ALPN,
        ari=False,
    ),
    Preset(
        name="pebble",
        title="Pebble",
        tried=Tried.RUNS,
        public=False,
        binding=Binding.OPTIONAL,
        key_change=True,
        ari=True,
        max_names=100,
    ),
)

NO_PRESET: Final = Preset(name="", title="a CA without a preset", tried=Tried.READ, binding=Binding.OPTIONAL)
"""All is left to the operator; what isn't told to be private counts as public."""

PRESETS: Final = {preset.name: preset for preset in _ALL}


def preset_of(name: str) -> Preset:
    """
    Raises:
        PresetError: there is none of that name.
    """
    if name not in PRESETS:
        raise PresetError("preset", f"there is none named {name[:80]!r}, but: {', '.join(PRESETS)}")
    return PRESETS[name]
