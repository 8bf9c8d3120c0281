"""Who a provider says that somebody is, read from the claims of an ID token whose signature holds."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from registry.domain.access import PAGE, is_reserved
from registry.domain.id_token import LoginFault, LoginRefusedError

__all__ = ["Identity", "Named", "identity_of"]

_SUBJECT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@|+/=~-]{0,62}")
_MOST_GROUPS: Final = 2000
_LONGEST: Final = 255
_RESERVED: Final = frozenset({PAGE, "policy", "registry", "nobody"})


@dataclass(frozen=True)
class Named:
    """The claims that tell subject, groups, and the name that is shown."""

    subject: str = "sub"
    groups: str = "groups"
    shown: str = "name"


@dataclass(frozen=True)
class Identity:
    """`also` are the other names by which they may be known here: they only ever forbid."""

    issuer: str
    subject: str
    name: str
    groups: frozenset[str] = frozenset()
    also: frozenset[str] = frozenset()


def identity_of(claims: Mapping[str, object], named: Named, *, issuer: str) -> Identity:
    """Read them.

    Raises:
        LoginRefusedError: there is no subject that can be stored, or the groups can't be read.
    """
    subject = claims.get(named.subject)
    if not isinstance(subject, str) or not subject:
        raise LoginRefusedError(LoginFault.SUBJECT, f"the provider told no {named.subject}")
    if not _SUBJECT.fullmatch(subject):
        raise LoginRefusedError(
            LoginFault.SUBJECT,
            f"the claim {named.subject} is longer than 63 characters, or has signs that no subject has: "
            "the operator chooses another by oidc_subject_claim",
        )
    if named.subject == "email" and claims.get("email_verified") is not True:
        raise LoginRefusedError(LoginFault.SUBJECT, "the provider hasn't verified the e-mail address")
    if subject.lower() in _RESERVED or is_reserved(subject):
        raise LoginRefusedError(LoginFault.SUBJECT, f"{subject} is a name that the registry gives itself")
    return Identity(
        issuer,
        subject,
        _shown(claims, named) or subject,
        _groups(claims.get(named.groups)),
        _other_names(claims, named) - {subject},
    )


def _groups(told: object) -> frozenset[str]:
    """A list of names, or one name. None where there are too many for a token: some providers leave them out then."""
    if told is None:
        return frozenset()
    listed = [told] if isinstance(told, str) else told
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise LoginRefusedError(LoginFault.GROUPS, "the groups that the provider told are no list of names")
    if len(listed) > _MOST_GROUPS:
        raise LoginRefusedError(LoginFault.GROUPS, f"the provider told more than {_MOST_GROUPS} groups")
    # No grant can name another one.
    return frozenset(name for name in listed if 0 < len(name) <= _LONGEST and name.isprintable())


def _shown(claims: Mapping[str, object], named: Named) -> str | None:
    for claim in (named.shown, "preferred_username"):
        value = claims.get(claim)
        if isinstance(value, str) and value.isprintable() and value.strip():
            return value.strip()[:63]
    return None


def _other_names(claims: Mapping[str, object], named: Named) -> frozenset[str]:
    found = [claims.get(claim) for claim in ("sub", "preferred_username", named.subject)]
    if claims.get("email_verified") is True:
        found.append(claims.get("email"))
    names = {name for name in found if isinstance(name, str) and 0 < len(name) <= _LONGEST and name.isprintable()}
    # Of ana@example.org the local token may be called ana; and no token's subject has capital letters.
    return frozenset({form for name in names for form in (name, name.casefold(), name.casefold().partition("@")[0])})
