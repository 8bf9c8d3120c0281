"""Targets of kind `haproxy`: found by its entry point."""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from cdn_pusher.domain.probe_names import ProbeAddress
from cdn_pusher.targets.haproxy.certificate_files import CertificateFiles
from cdn_pusher.targets.haproxy.instance import HaproxyInstance
from cdn_pusher.targets.haproxy.instance_lock import InstanceLock
from cdn_pusher.targets.haproxy.listeners import Listeners
from cdn_pusher.targets.haproxy.master_socket import MasterSocket
from cdn_pusher.targets.haproxy.notes import Notes
from cdn_pusher.targets.haproxy.port import HaproxyPort
from cdn_pusher.targets.haproxy.proof import Proof
from cdn_pusher.targets.haproxy.runtime_socket import RuntimeSocket
from certcore.events import DeliveryReason
from certcore.intent import Target
from certcore.names import is_label
from certcore.reading import ReadModel
from certcore.targets import HAPROXY
from certdelivery.model import Failure
from certdelivery.target import Destinations, DriverContext, TargetDriver, TargetPort

__all__ = ["DRIVER", "InstanceSettings"]

_RELOAD_PATIENCE_S: Final = 5.0


def _one_word(path: Path) -> Path:
    # These paths stand in runtime commands and in the crt-list, where white space ends a word.
    if any(character.isspace() or character in "#;\\'\"" for character in str(path)):
        raise ValueError("holds a character that HAProxy's commands can't carry")
    return path


def _address(value: str) -> str:
    ProbeAddress.parse(value)
    return value


CommandPath = Annotated[Path, AfterValidator(_one_word)]


class InstanceSettings(BaseModel):
    """One HAProxy. `directory` and `crt_list` are spelled as in its configuration: files are identified by name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    socket: Path = Field(description="Its stats socket, at level admin.")
    directory: CommandPath = Field(description="The folder of its PEM files: <directory>/<certificate>.pem.")
    crt_list: CommandPath = Field(description="The crt-list that names them.")
    probe: Annotated[tuple[Annotated[str, AfterValidator(_address)], ...], Field(min_length=1)] = Field(
        description="host:port of each of its TLS listeners; a delivery is proven at all of them."
    )
    probe_timeout_s: Annotated[float, Field(gt=0)] = 5.0
    master_socket: Path | None = Field(
        default=None, description="Its master's socket, for reloads, of what is too long for the runtime API."
    )
    reload_s: Annotated[float, Field(gt=0)] = Field(
        default=60.0,
        description="Longest time that a reload takes. So long after each delivery a new worker is looked for: one"
        " that read the files just before it.",
    )
    command_limit_bytes: int = Field(
        default=16383, ge=1024, description="Longest command that its runtime API takes: tune.bufsize less one."
    )


class _Fields(ReadModel):
    instance: str = "default"


class HaproxyDriver:
    kind = HAPROXY.kind
    settings = InstanceSettings
    at_once = 1

    def destinations(self, target: Target, configured: Collection[str]) -> Destinations:
        try:
            instance = _Fields.model_validate(target.fields).instance
        except ValidationError:
            return Destinations((), (Failure(DeliveryReason.UNREADABLE_ORDER, "its instance can't be read"),))
        if not is_label(instance):
            problem = f"{instance!r:.80} is no name of an instance"
            return Destinations((), (Failure(DeliveryReason.UNREADABLE_ORDER, problem),))
        if instance not in configured:
            problem = f"this place has no HAProxy {instance}"
            return Destinations((), (Failure(DeliveryReason.UNKNOWN_PLACE, problem),))
        return Destinations((instance,))

    def build(self, name: str, settings: InstanceSettings, context: DriverContext) -> TargetPort:  # noqa: ARG002 # the protocol's
        directory = settings.directory
        runtime = RuntimeSocket(settings.socket, command_limit_bytes=settings.command_limit_bytes)
        master = MasterSocket(settings.master_socket, timeout_s=settings.reload_s) if settings.master_socket else None
        instance = HaproxyInstance(
            name=name,
            runtime=runtime,
            master=master,
            files=CertificateFiles(directory=directory, crt_list=settings.crt_list),
            crt_list=settings.crt_list,
            notes=Notes(directory.with_name(f".{directory.name}.placements.json")),
            lock=InstanceLock(directory.with_name(f".{directory.name}.lock")),
        )
        addresses = [ProbeAddress.parse(address) for address in settings.probe]
        proof = Proof(
            instance,
            runtime=runtime,
            master=master,
            listeners=Listeners(addresses, timeout_s=settings.probe_timeout_s),
            patience_s=_RELOAD_PATIENCE_S,
            watch_s=settings.reload_s,
        )
        return HaproxyPort(instance, proof)


DRIVER: TargetDriver[InstanceSettings] = HaproxyDriver()
