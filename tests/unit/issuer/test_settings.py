import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from certcore.certificate import KeyAlgorithm
from certkit.settings import load_settings
from issuer.cas.acme.presets import PRESETS
from issuer.domain.ca_order import ChallengeKind
from issuer.domain.ca_traits import CaTraits
from issuer.settings import Settings
from tests.private_ca import a_ca

ACME = {"name": "a-ca", "directory_url": "https://ca.test/dir", "challenges": ["http-01"]}
POLICY = {"internal": "a-ca", "public": "a-ca"}
WEB = {"web": {"kind": "http01", "port": 8080}}


def settings(**fields: Any) -> Settings:
    return Settings(
        **{
            "bus": {"identity": "issuer"},
            "http": {"plain_text": True},
            "registry": {"token_file": Path("token")},
            "database_url": "sqlite:///journal.db",
            "state_folder": Path("state"),
            "cas": [ACME],
            "policy": POLICY,
            **fields,
        }
    )


def test_a_minimal_configuration_is_enough() -> None:
    assert settings().acme_cas[0].in_flight == 32


def test_a_policy_that_names_nobody_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"policy\.public: there is no CA named nobody"):
        settings(policy={"internal": "a-ca", "public": "nobody"})


def test_two_cas_of_one_name_are_refused() -> None:
    with pytest.raises(ValidationError, match="two CAs have one name"):
        settings(cas=[ACME, ACME])


def told(**fields: Any) -> list[str]:
    return [f"{'.'.join(fault.field)}: {fault.problem}" for fault in settings(**fields).faults()]


def test_solvers_that_fit_the_cas_have_no_fault() -> None:
    assert told(solvers=WEB) == []


def test_a_challenge_that_no_solver_shows_is_refused() -> None:
    assert told() == ["cas.a-ca.challenges: no solver of `solvers` shows http-01"]


def test_a_kind_that_is_not_installed_is_refused_with_those_that_are() -> None:
    [fault] = told(solvers={"web": {"kind": "gopher"}})
    assert fault.startswith("solvers.web.kind: must be one of the installed kinds: ")
    assert "http01" in fault


def test_an_unknown_setting_of_a_solver_is_refused() -> None:
    [fault] = told(solvers={"web": {"kind": "http01", "prot": 8080}})
    assert fault == "solvers.web.prot: Extra inputs are not permitted"


@pytest.mark.parametrize("pattern", ["*", "a.*.example.org", "-a.example.org", "", "a b", "*.*.example.org"])
def test_a_pattern_that_could_match_no_name_is_refused(pattern: str) -> None:
    [fault] = told(solvers={"web": {"kind": "http01", "match": [pattern]}})
    assert "solvers.web.match.0" in fault


@pytest.mark.parametrize("match", [[], ["*.example.org"]])
def test_two_solvers_for_the_same_names_are_refused(match: list[str]) -> None:
    web = {"kind": "http01", "match": match}
    [fault] = told(solvers={"web": web, "web2": web})
    assert fault.startswith("solvers: web and web2 both match")


@pytest.mark.parametrize("challenges", [[], ["gopher-01"]])
def test_a_ca_without_a_usable_challenge_is_refused(challenges: list[str]) -> None:
    ca = {"name": "a-ca", "directory_url": "https://ca.test/dir", "challenges": challenges}
    with pytest.raises(ValidationError, match="challenges"):
        settings(cas=[ca])


def test_a_ca_without_acme_is_read_by_the_settings_of_its_kind(tmp_path: Path) -> None:
    files = a_ca(tmp_path)
    cas = [ACME, files.settings("own", validity_days=30)]
    read = settings(cas=cas, policy={**POLICY, "private": "own"}, solvers=WEB)
    assert [(ca.name, ca.kind, ca.traits.public) for ca in read.cas] == [
        ("a-ca", "acme", True),
        ("own", "files", False),
    ]
    assert read.signing_cas[0].model_dump()["validity_days"] == 30
    assert list(read.faults()) == []


def test_a_kind_that_nobody_brought_is_refused() -> None:
    with pytest.raises(ValidationError, match="kind: 'oracle' is no kind of CA, but: acme, files"):
        settings(cas=[ACME, {"kind": "oracle", "name": "own"}])


def test_a_ca_by_files_is_refused_by_the_setting_that_is_in_the_way(tmp_path: Path) -> None:
    files = a_ca(tmp_path)
    files.key_file.chmod(0o644)
    (fault,) = settings(cas=[ACME, files.settings("own")], solvers=WEB).faults()
    assert fault.field == ("cas", "1", "key_file")
    assert "mode 0644" in fault.problem
    with pytest.raises(ValidationError, match=r"surprise(.|\n)*Extra inputs are not permitted"):
        settings(cas=[ACME, files.settings("own", surprise=1)])


def test_a_policy_for_private_names_must_name_a_ca() -> None:
    with pytest.raises(ValidationError, match=r"policy\.private: there is no CA named own"):
        settings(policy={**POLICY, "private": "own"})


def test_three_lines_are_enough_for_staging() -> None:
    lines = {"name": "a-ca", "preset": "letsencrypt-staging", "contact": "pki@example.org"}
    (ca,) = settings(cas=[lines]).acme_cas
    assert ca.directory_url == "https://acme-staging-v02.api.letsencrypt.org/directory"
    assert (ca.challenges, ca.profile, ca.limits) == ((ChallengeKind.HTTP_01,), "classic", "letsencrypt-staging")
    assert ca.traits == CaTraits(public=True, max_names=100)


def test_what_stands_in_the_settings_goes_before_the_preset() -> None:
    own = {"preset": "letsencrypt", "profile": "shortlived", "key_algorithms": ["ec-p256"], "max_names": 5}
    (ca,) = settings(cas=[{"name": "a-ca", **own}]).acme_cas
    assert ca.profile == "shortlived"
    assert ca.traits == CaTraits(public=True, max_names=5, key_algorithms=frozenset({KeyAlgorithm.EC_P256}))


@pytest.mark.parametrize(
    ("ca", "why"),
    [
        ({"preset": "google"}, "eab: Google Trust Services needs one"),
        ({"preset": "step-ca"}, "directory_url: step-ca has an address of its own"),
        ({"preset": "oracle"}, "preset: there is none named 'oracle', but: letsencrypt"),
        ({"preset": "letsencrypt", "profile": "tlsclient"}, "profile: Let's Encrypt ended tlsclient"),
        ({"preset": "letsencrypt", "max_names": "many"}, r"cas\.0\.acme\.max_names"),
        ({}, "directory_url"),
    ],
)
def test_a_contradiction_to_the_preset_is_told_by_its_field(ca: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        settings(cas=[{"name": "a-ca", **ca}])


def _documented(*parts: str) -> list[str]:
    """The TOML examples of a page, as they stand there."""
    text = Path(__file__).parents[3].joinpath(*parts).read_text()
    return re.findall(r"```toml\n(.*?)```", text, re.DOTALL)


REST = """
bus = {identity = "issuer"}
http = {plain_text = true}
registry = {token_file = "FOLDER/token"}
database_url = "sqlite:///journal.db"
state_folder = "/state"
"""


def test_three_lines_are_enough_for_a_first_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (lines,) = _documented("README.md")
    assert len(lines.splitlines()) == 3
    assert lines == _documented("docs", "cas.md")[0]
    file = tmp_path / "issuer.toml"
    file.write_text(REST.replace("FOLDER", str(tmp_path)) + lines)
    (tmp_path / "token").write_text("none")
    monkeypatch.setenv("CERTBUS_CONFIG_FILE", str(file))

    read = load_settings(Settings)

    (ca,) = read.acme_cas
    assert ca.directory_url == "https://acme-staging-v02.api.letsencrypt.org/directory"
    assert ca.challenges == (ChallengeKind.HTTP_01,)
    assert read.policy.internal == read.policy.public == ca.name


def test_the_examples_of_the_documentation_are_valid() -> None:
    _, *others = map(tomllib.loads, _documented("docs", "cas.md"))
    policy = {"internal": "lets-encrypt", "public": "ssl-com", "private": "own"}
    solvers = {
        "web": {"kind": "http01"},
        "records": {"kind": "challtestsrv", "url": "http://127.0.0.1:8055"},
    }
    read = settings(cas=others[0]["cas"], policy=policy, solvers=solvers)
    documented = {ca.preset for ca in read.acme_cas} | {"letsencrypt-staging", "openbao", "pebble"}
    assert documented == set(PRESETS)
    assert [fault for fault in read.faults() if fault.field[0] == "solvers"] == []


def test_an_escrow_s_public_key_that_is_none_is_refused() -> None:
    with pytest.raises(ValidationError, match="not an X25519 public key"):
        settings(escrow_public_key="bm8ga2V5")
