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


def told(**fields: Any) -> list[str]:
    return [f"{'.'.join(fault.field)}: {fault.problem}" for fault in settings(**fields).faults()]


def test_solvers_that_fit_the_cas_have_no_fault() -> None:
    assert told(solvers={"web": {"kind": "http01", "port": 8080}}) == []


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
