"""Presets with the operator's settings: what is explicit wins, what can't be so is an error that names the field."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certcore.certificate import KeyAlgorithm
from issuer.cas.acme.preset import AcmeCaFacts, Binding, Given, PresetError, Tried, apply
from issuer.cas.acme.presets import NO_PRESET, PRESETS, preset_of
from issuer.domain.ca_order import ChallengeKind

OWN_URL = "https://ca.site1.internal/acme/directory"
ENOUGH: dict[str, dict[str, Any]] = {
    name: {
        "has_binding": preset.binding not in {Binding.NEVER, Binding.OPTIONAL},
        "contact": "pki@example.org" if preset.contact_needed else None,
        "directory_url": None if preset.directory_urls else OWN_URL,
    }
    for name, preset in PRESETS.items()
}


def facts(name: str, **more: Any) -> AcmeCaFacts:
    return apply(preset_of(name), Given(**{**ENOUGH[name], **more}))


@pytest.mark.parametrize("name", PRESETS)
def test_each_preset_is_enough_with_what_only_the_operator_knows(name: str) -> None:
    assert facts(name).directory_url.startswith("https://")
    assert facts(name).challenges == (ChallengeKind.HTTP_01,)


def test_a_first_staging_certificate_needs_a_name_and_a_preset() -> None:
    staging = apply(preset_of("letsencrypt-staging"), Given())
    assert staging.directory_url == "https://acme-staging-v02.api.letsencrypt.org/directory"
    assert (staging.profile, staging.traits.max_names, staging.limits) == ("classic", 100, "letsencrypt-staging")


def test_only_what_runs_in_the_tests_is_told_as_tried() -> None:
    assert {name for name, preset in PRESETS.items() if preset.tried is Tried.RUNS} == {"pebble", "step-ca"}


def test_private_cas_are_private_and_public_ones_public() -> None:
    private = {name for name in PRESETS if not facts(name).traits.public}
    assert private == {"step-ca", "vault", "openbao", "pebble"}


def test_without_a_preset_only_the_address_is_needed_and_the_ca_counts_as_public() -> None:
    told = apply(NO_PRESET, Given(directory_url=OWN_URL))
    assert (told.directory_url, told.traits.public, told.profile, told.ari) == (OWN_URL, True, None, None)
    assert not apply(NO_PRESET, Given(directory_url=OWN_URL, public=False)).traits.public
    assert apply(NO_PRESET, Given(directory_url="http://127.0.0.1:14000/dir")).directory_url
    with pytest.raises(PresetError, match="directory_url: a CA without a preset has an address of its own"):
        apply(NO_PRESET, Given())


@pytest.mark.parametrize(
    ("name", "more", "field", "why"),
    [
        ("step-ca", {"directory_url": None}, "directory_url", "step-ca has an address of its own"),
        ("step-ca", {"directory_url": "http://ca.internal/acme"}, "directory_url", "must begin with https://"),
        ("letsencrypt", {"directory_url": OWN_URL}, "directory_url", "leave this or preset out"),
        ("google", {"has_binding": False}, "eab", "Google Trust Services needs one"),
        ("letsencrypt", {"has_binding": True}, "eab", "Let's Encrypt has none"),
        ("sslcom", {"contact": None}, "contact", "SSL.com issues nothing for an account without a mail address"),
        ("letsencrypt", {"profile": "tlsclient"}, "profile", "ended tlsclient on 2026-07-08"),
        ("step-ca", {"profile": "tlsserver"}, "profile", "step-ca has no profiles"),
        ("letsencrypt", {"public": False}, "public", "the world trusts Let's Encrypt"),
        ("letsencrypt", {"profile": "shortlived", "max_names": 50}, "max_names", "certifies 25 names at once"),
    ],
)
def test_what_can_not_be_so_is_an_error_that_names_the_field(
    name: str, more: dict[str, Any], field: str, why: str
) -> None:
    with pytest.raises(PresetError, match=why) as refused:
        facts(name, **more)
    assert refused.value.field == field
    assert str(refused.value).startswith(f"{field}: ")


def test_an_unknown_preset_is_told_with_those_that_there_are() -> None:
    with pytest.raises(PresetError, match="there is none named 'lets-encrypt', but: letsencrypt, "):
        preset_of("lets-encrypt")


def test_a_challenge_that_the_ca_does_not_have_is_refused() -> None:
    only_dns = replace(preset_of("digicert"), challenges=frozenset({"dns-01"}))
    assert apply(only_dns, Given(has_binding=True)).challenges == (ChallengeKind.DNS_01,)
    with pytest.raises(PresetError, match="challenges: DigiCert CertCentral has no http-01"):
        apply(only_dns, Given(has_binding=True, challenges=(ChallengeKind.HTTP_01,)))


def test_a_profile_has_limits_of_its_own() -> None:
    assert facts("letsencrypt", profile="shortlived").traits.max_names == 25
    assert facts("letsencrypt", profile="a-later-one").traits.max_names == 100


def test_the_address_of_ssl_com_decides_which_keys_it_takes() -> None:
    assert facts("sslcom").traits.key_algorithms == frozenset({KeyAlgorithm.EC_P256, KeyAlgorithm.EC_P384})
    rsa = facts("sslcom", directory_url="https://acme.ssl.com/sslcom-dv-rsa")
    assert rsa.traits.key_algorithms == frozenset({KeyAlgorithm.RSA_2048, KeyAlgorithm.RSA_3072})
    assert facts("sslcom", directory_url="https://acme.ssl.com/a-customers-own").traits.key_algorithms is None


def test_a_ca_that_wants_a_common_name_gets_one_unless_the_operator_says_no() -> None:
    assert facts("digicert").traits.common_name
    assert not facts("digicert", common_name=False).traits.common_name


EXPLICIT = st.fixed_dictionaries(
    {},
    optional={
        "challenges": st.sampled_from([(ChallengeKind.DNS_01,), (ChallengeKind.DNS_01, ChallengeKind.HTTP_01)]),
        "preferred_chain": st.just("ISRG Root X2"),
        "common_name": st.booleans(),
        "key_algorithms": st.just(frozenset({KeyAlgorithm.EC_P256})),
        "max_names": st.integers(1, 25),
        "limits": st.just("own"),
    },
)


@given(st.sampled_from(sorted(PRESETS)), EXPLICIT)
def test_what_is_explicit_wins_and_nothing_else_changes(name: str, explicit: dict[str, Any]) -> None:
    usual, changed = facts(name), facts(name, **explicit)

    def seen(of: AcmeCaFacts) -> dict[str, Any]:
        return {**vars(of.traits), **{key: value for key, value in vars(of).items() if key != "traits"}}

    assert seen(changed) == {**seen(usual), **explicit}
