"""The text of a policy file: YAML, of which JSON is a part, without what hides things from a reader."""

from typing import Any, Final

import yaml

from certcore.rejection import RejectedError, Rejection

__all__ = ["MAX_POLICY_BYTES", "parse_policy_text"]

MAX_POLICY_BYTES: Final = 4 * 1024 * 1024


class _Loader(yaml.SafeLoader):
    """A key that stands twice would hide one of the two, and an alias can make a small file a large one."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark: yaml.Mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "an alias is not allowed", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001,FBT002 # as it is called
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.value == "<<":
                raise yaml.constructor.ConstructorError(None, None, "a key must be a plain word", key.start_mark)
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, "a key is given twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def parse_policy_text(text: bytes) -> object:
    """What the text says, in JSON's types and dates.

    Raises:
        RejectedError: it is no YAML, or too large, with the line.
    """
    if len(text) > MAX_POLICY_BYTES:
        raise RejectedError([Rejection(field="policy", message=f"is larger than {MAX_POLICY_BYTES} bytes")])
    try:
        return yaml.load(text, _Loader)  # noqa: S506 # a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" at line {mark.line + 1} column {mark.column + 1}" if mark else ""
        raise RejectedError([Rejection(field="policy", message=f"is no YAML: {error.problem}{where}")]) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise RejectedError([Rejection(field="policy", message=f"is no YAML: {type(error).__name__}")]) from None
