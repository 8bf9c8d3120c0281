"""What is read of an API server's replies: a field that is not named here never becomes an object in memory.

That is how private keys are kept out: where a reply is read as `PublicSecret`, the parser skips `tls.key`.
"""

from typing import Any

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field

from syncer.domain.origin import FieldOwner, OwnerReference, SecretMarks

__all__ = [
    "Metadata",
    "MetadataPage",
    "MetadataReply",
    "PublicDataReply",
    "PublicSecret",
    "PublicSecretPage",
    "Secret",
    "Status",
]

_CERTIFICATE_FIELD = "f:tls.crt"


class _Reply(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _OwnerReference(_Reply):
    api_version: str = Field(default="", alias="apiVersion")
    kind: str = ""
    name: str = ""


class _ManagedFields(_Reply):
    manager: str = ""
    # A tree of field names, as deep as the object.
    fields: dict[str, Any] = Field(default={}, alias="fieldsV1")

    def holds_data(self) -> bool:
        data = self.fields.get("f:data")
        return isinstance(data, dict) and (_CERTIFICATE_FIELD in data or not data)


class Metadata(_Reply):
    name: str
    namespace: str
    uid: str = ""
    resource_version: str = Field(default="", alias="resourceVersion")
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owners: tuple[_OwnerReference, ...] = Field(default=(), alias="ownerReferences")
    managed_fields: tuple[_ManagedFields, ...] = Field(default=(), alias="managedFields")

    def marks(self) -> SecretMarks:
        return SecretMarks(
            labels=self.labels,
            annotations=self.annotations,
            owners=tuple(OwnerReference(owner.kind, owner.name, owner.api_version) for owner in self.owners),
            field_owners=tuple(FieldOwner(entry.manager, entry.holds_data()) for entry in self.managed_fields),
        )


class MetadataReply(_Reply):
    metadata: Metadata


class _ListMetadata(_Reply):
    next_page: str = Field(default="", alias="continue")


class MetadataPage(_Reply):
    metadata: _ListMetadata = _ListMetadata()
    # An empty list of metadata comes as null, an empty list of Secrets as [].
    items: tuple[MetadataReply, ...] | None = None


class _PublicData(_Reply):
    chain: Base64Bytes = Field(default=b"", alias="tls.crt")


class PublicSecret(_Reply):
    """A Secret without its key."""

    metadata: Metadata
    data: _PublicData = _PublicData()


class PublicSecretPage(_Reply):
    metadata: _ListMetadata = _ListMetadata()
    items: tuple[PublicSecret, ...] | None = None


class _Data(_PublicData):
    key: Base64Bytes = Field(default=b"", alias="tls.key", repr=False)


class Secret(_Reply):
    """A Secret with its key: compare it, and don't keep it."""

    type: str = "Opaque"
    metadata: Metadata
    data: _Data = Field(default=_Data(), repr=False)


class PublicDataReply(_Reply):
    """A Secret that holds nothing secret: everybody may read its data where it is shown."""

    metadata: Metadata
    data: dict[str, Base64Bytes] = {}


class _Cause(_Reply):
    reason: str = ""
    message: str = ""
    field: str = ""


class _Details(_Reply):
    causes: tuple[_Cause, ...] = ()


class Status(_Reply):
    """Why the API server refused a call."""

    reason: str = ""
    message: str = ""
    details: _Details = _Details()

    def conflicting_managers(self) -> tuple[str, ...]:
        """The field managers that an apply conflicts with, in the server's words."""
        causes = [cause for cause in self.details.causes if cause.reason == "FieldManagerConflict"]
        return tuple(dict.fromkeys(cause.message for cause in causes))
