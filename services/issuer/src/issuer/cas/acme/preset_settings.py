"""The settings of a CA that a preset can fill in."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from certcore.ca_limits.limit import BudgetSettings, Preset, default_budget
from certcore.certificate import KeyAlgorithm
from issuer.cas.acme.preset import Given, apply
from issuer.cas.acme.presets import NO_PRESET, preset_of
from issuer.domain.ca_order import ChallengeKind
from issuer.domain.ca_traits import CaTraits

__all__ = ["PresetSettings"]

_GIVEN: Final = frozenset(field.name for field in fields(Given)) - {"has_binding"}
_READ_GIVEN: Final = TypeAdapter(Given)


class PresetSettings(BaseModel):
    """What stands in the settings goes before what the preset says; both are checked against each other."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    preset: str | None = Field(default=None, description="Which CA it is: docs/cas.md lists them.")
    directory_url: str = Field(description="By default that of the preset, where it has one.")
    challenges: Annotated[tuple[ChallengeKind, ...], Field(min_length=1)] = Field(
        description="In order of preference; http-01 by default. Wildcards need dns-01."
    )
    contact: str | None = Field(default=None, description="Mail address that the CA may write to.")
    profile: str | None = Field(
        default=None,
        description="Profile to ask for, where the CA has profiles; that of an issue order goes before it.",
    )
    preferred_chain: str | None = Field(
        default=None,
        description="Common name of the issuer of the topmost certificate of the chain that is wanted, where the CA"
        " offers several; without a match its default chain is taken.",
    )
    public: bool = Field(default=True, description="Whether the world trusts it: then it gets public names only.")
    common_name: bool = Field(default=False, description="Whether it wants the first name in the CSR's subject, too.")
    key_algorithms: frozenset[KeyAlgorithm] | None = Field(default=None, description="Keys of leaves that it takes.")
    max_names: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="So many names it certifies at once."
    )
    limits: Preset | None = Field(default=None, description="Whose documented limits its budget keeps.")
    budget: BudgetSettings | None = Field(
        default=None, description="How many orders it is sent; by default what `limits` documents."
    )

    @property
    def counted(self) -> BudgetSettings:
        """What is counted of what it is asked."""
        return self.budget or (
            BudgetSettings(preset=self.limits) if self.limits else default_budget(self.directory_url)
        )

    @property
    def traits(self) -> CaTraits:
        return CaTraits(
            public=self.public,
            common_name=self.common_name,
            key_algorithms=self.key_algorithms,
            max_names=self.max_names,
        )

    @model_validator(mode="before")
    @classmethod
    def _filled_in(cls, values: object) -> object:
        if not isinstance(values, Mapping):
            return values
        told = {name: values[name] for name in _GIVEN if values.get(name) is not None}
        try:
            given = _READ_GIVEN.validate_python({**told, "has_binding": values.get("eab") is not None})
        except ValidationError:
            # The fields themselves are refused next, each where it stands.
            return values
        name = values.get("preset")
        facts = apply(NO_PRESET if name is None else preset_of(str(name)), given)
        return {
            **values,
            "directory_url": facts.directory_url,
            "challenges": facts.challenges,
            "profile": facts.profile,
            "preferred_chain": facts.preferred_chain,
            "public": facts.traits.public,
            "common_name": facts.traits.common_name,
            "key_algorithms": facts.traits.key_algorithms,
            "max_names": facts.traits.max_names,
            "limits": facts.limits,
        }
