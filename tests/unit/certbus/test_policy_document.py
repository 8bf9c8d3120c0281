"""docs/policy.md says what the code does: its file can be used, and each example is judged as it stands there."""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from certbus.policy_views import verdict_facts
from certcore.policy.document import Policy
from certcore.policy.file import policy_digest, read_policy
from certcore.policy.judgement import judge
from certcore.policy.text import parse_policy_text
from certcore.policy.verdict import verdict_of
from certcore.policy.windows import Bounds
from tests.unit.certcore.policy.samples import KINDS, a_request

_TEXT: Final = (Path(__file__).parents[3] / "docs" / "policy.md").read_text()
_BLOCKS: Final = re.findall(r"```(json|yaml)?\n(.*?)```", _TEXT, re.DOTALL)
_TOLD: Final = {"allowed", "CA", "asks", "because"}


def the_policy() -> Policy:
    """The file, with the part that stands by itself."""
    text = "\n".join(text for kind, text in _BLOCKS if kind == "yaml")
    return read_policy(parse_policy_text(text.encode()), KINDS)


def examples() -> list[tuple[str, str]]:
    blocks = [(kind, text.strip()) for kind, text in _BLOCKS]
    return [(text, told) for (kind, text), (other, told) in pairwise(blocks) if kind == "json" and other == ""]


def test_the_windows_and_the_freeze_are_read_as_they_stand_there() -> None:
    policy = the_policy()
    assert [str(window) for window in policy.windows] == ["nights (mon, tue, wed, thu 22:00 to 04:00 Europe/Berlin)"]
    assert [str(freeze) for freeze in policy.freeze] == ["freeze (the sale)"]
    assert policy.renewals == Bounds()
    kept = Policy.model_validate_json(policy.model_dump_json(exclude_defaults=True))
    assert (kept, policy_digest(kept)) == (policy, policy_digest(policy))


def test_there_are_ten_examples() -> None:
    assert len(examples()) == 10


@pytest.mark.parametrize(("body", "told"), examples())
def test_an_example_is_judged_as_it_stands_there(body: str, told: str) -> None:
    defaults = next(json.loads(text) for kind, text in _BLOCKS if kind == "json")
    read = {**defaults, **json.loads(body)}
    owner, policy = read.pop("owner", "shop"), the_policy()
    spec = a_request(**read)
    verdict = verdict_of(judge(policy, spec, owner=owner), spec, digest=policy_digest(policy))
    assert "; ".join(f"{name}: {text}" for name, text in verdict_facts(verdict) if name in _TOLD) == told
