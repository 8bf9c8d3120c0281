"""The registry's schema; migrations/versions brings it to a database."""

from registry.adapters.tables.alerts import alert
from registry.adapters.tables.answers import kept_answer
from registry.adapters.tables.certificates import (
    approval,
    bundle,
    certificate,
    certificate_fact,
    ordered_renewal,
    reported_revision,
    request,
    revision,
    signing_request,
)
from registry.adapters.tables.challenges import challenge
from registry.adapters.tables.deliveries import endpoint, placement, probe_worker
from registry.adapters.tables.events import epoch, event, inbox, stream_epoch
from registry.adapters.tables.limits import ca_limits
from registry.adapters.tables.people import audit, device_login, login_code, rights_change, token
from registry.adapters.tables.policies import claim, policy, vote
from registry.adapters.tables.reseals import reseal
from registry.adapters.tables.schema import metadata
from registry.adapters.tables.sites import recipient, run, service, site, site_secret

__all__ = [
    "alert",
    "approval",
    "audit",
    "bundle",
    "ca_limits",
    "certificate",
    "certificate_fact",
    "challenge",
    "claim",
    "device_login",
    "endpoint",
    "epoch",
    "event",
    "inbox",
    "kept_answer",
    "login_code",
    "metadata",
    "ordered_renewal",
    "placement",
    "policy",
    "probe_worker",
    "recipient",
    "reported_revision",
    "request",
    "reseal",
    "revision",
    "rights_change",
    "run",
    "service",
    "signing_request",
    "site",
    "site_secret",
    "stream_epoch",
    "token",
    "vote",
]
