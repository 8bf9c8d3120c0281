"""What is wrong with a request, field by field: the same answer over API, bus and command."""

from pydantic import BaseModel, ConfigDict

__all__ = ["RejectedError", "Rejection"]


class Rejection(BaseModel):
    """`field` is a path into the body (`targets.0.site`), or `body` where the whole of it can't be read."""

    model_config = ConfigDict(frozen=True)

    field: str
    message: str


class RejectedError(Exception):
    """A request that is refused. Nothing of it is stored."""

    def __init__(self, rejections: list[Rejection]) -> None:
        super().__init__("; ".join(f"{rejection.field} {rejection.message}" for rejection in rejections))
        self.rejections = rejections
