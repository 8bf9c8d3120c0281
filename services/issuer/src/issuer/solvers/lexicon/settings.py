import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from issuer.domain.solver import DnsSolverSettings
from issuer.solvers.lexicon.providers import known_options

__all__ = ["LexiconSettings"]

_SECRET: Final = re.compile(r"key|token|secret|pass|credential|pin|auth(?!_(username|url|method|region))")


def _without_secrets(options: Mapping[str, str]) -> Mapping[str, str]:
    for name in options:
        if _SECRET.search(name.lower()):
            raise ValueError(f"{name} may be a secret: name its file in option_files instead")
    return options


class LexiconSettings(DnsSolverSettings):
    kind: Literal["lexicon"] = "lexicon"
    provider: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,40}$")] = Field(
        description="As dns-lexicon names it: cloudflare, powerdns, …"
    )
    zones: Annotated[
        tuple[Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]+(\.[a-z0-9_-]+)*$")], ...],
        Field(min_length=1),
    ] = Field(description="The zones as the provider has them; a record goes into the longest that holds its name.")
    options: Annotated[Mapping[str, str], AfterValidator(_without_secrets)] = Field(
        default_factory=dict, description="The provider's options that anybody may read, without its name."
    )
    option_files: Mapping[str, Path] = Field(
        default_factory=dict, description="File of each option that is a secret; mode 0600."
    )
    ttl: Annotated[int, Field(ge=1, le=86400)] = 60
    timeout_s: Annotated[float, Field(gt=0, le=300)] = 60.0
    at_once: Annotated[int, Field(ge=1, le=16)] = Field(
        default=4, description="Records that are changed at once; of one zone it is one."
    )

    @model_validator(mode="after")
    def _known(self) -> Self:
        twice = self.options.keys() & self.option_files.keys()
        if twice:
            raise ValueError(f"{', '.join(sorted(twice))}: give it in options or in option_files")
        known = known_options(self.provider)
        given = (name.replace("-", "_") for name in (*self.options, *self.option_files))
        if unknown := sorted(set(given) - known):
            raise ValueError(
                f"{self.provider} has no option {', '.join(unknown)}: its are {', '.join(sorted(known))}"
            )
        return self
