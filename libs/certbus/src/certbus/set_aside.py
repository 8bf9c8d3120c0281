"""What of an answer could not be read. The rest of the answer is shown all the same."""

from collections.abc import Iterator

from certcore.reading import ReadModel

__all__ = ["set_aside"]


def set_aside(answer: ReadModel) -> Iterator[str]:
    """A line for each item that was left out, at any depth: what it is, and what is wrong with it."""
    name = getattr(answer, "name", None)
    of_whom = f" of {name}" if isinstance(name, str) else ""
    for item in answer.unreadable:
        itself = f" ({item.name})" if item.name else ""
        yield f"warning: {item.item}{itself}{of_whom} is left out, since it can't be read: {item.problem}"
    for field in type(answer).model_fields:
        found = getattr(answer, field)
        for value in found if isinstance(found, tuple) else (found,):
            if isinstance(value, ReadModel):
                yield from set_aside(value)
