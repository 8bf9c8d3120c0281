"""`python -m issuer revoke`: have a CA revoke a certificate, by its account or by the certificate's own key."""

import argparse
import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog

from certcore.errors import CertbusError, PermanentError
from certcore.inspection import X509Certificate, read_chain, spki_sha256
from certcore.placements import PLATFORM
from certkit.settings import load_settings
from issuer.adapters.journal import Journal
from issuer.adapters.leaf_key import read_leaf_key
from issuer.cas.acme.jws import PrivateKey
from issuer.domain.errors import AcmeProblemError
from issuer.domain.job import JobId
from issuer.domain.revocation import Asked, Way
from issuer.domain.revoked import RevocationReason, reason_named
from issuer.handlers.revocations import Plan, Proof, Revoked
from issuer.revocation_app import revoking
from issuer.settings import Settings

__all__ = ["main"]

_EPILOG: Final = (
    "exit codes: 0 it is revoked (or would be: --dry-run), also where it was before; 1 it isn't, or nobody knows:"
    " repeat it, which is harmless; 2 wrong usage or a wrong setting"
)
_BY: Final = {
    Way.BY_ACCOUNT: "the account that the journal has there",
    Way.BY_OWN_KEY: "the certificate's own key",
    Way.BY_LIST: "the CA's list of revoked certificates (CRL)",
}
_PROOFS: Final = {
    Proof.SAID_SO: "asked again, the CA says that it is revoked",
    Proof.LISTED: "its serial is in the CRL, as read again",
    Proof.TAKEN_TWICE: "none: asked again, the CA took it once more, without a word that it was revoked",
}


def main(arguments: Sequence[str], *, prog: str = "python -m issuer revoke") -> int:
    """The exit code."""
    parser = _parser(prog)
    told = parser.parse_args(arguments)
    if (told.file is None) == (told.certificate is None):
        parser.error("name CERTIFICATE.pem, or --certificate and --revision")
    if (told.certificate is None) != (told.revision is None):
        parser.error("--certificate and --revision go together")
    settings = load_settings(Settings)
    # What went wrong is told by the command.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        key = read_leaf_key(told.key_file) if told.key_file is not None else None
        spki = spki_sha256(key.public_key()) if key is not None else None
        asked = Asked(told.reason, ca=told.ca, key_spki=spki, force=told.force)
        named = _read(told.file) if told.file else JobId(told.certificate, told.revision, told.variant)
        return asyncio.run(_revoke(settings, named, asked, key, dry_run=told.dry_run))
    except CertbusError as error:
        _tell(f"not revoked: {error}")
        return 1


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Have a CA revoke a certificate, with this issuer's own settings, beside the running issuer.",
        epilog=_EPILOG,
    )
    parser.add_argument("file", nargs="?", type=Path, metavar="CERTIFICATE.pem", help="the leaf, or its chain")
    parser.add_argument("--certificate", metavar="ID", help="instead: what the journal has of this certificate")
    parser.add_argument("--revision", type=int, metavar="N")
    parser.add_argument("--variant", default=PLATFORM, metavar="V", help=f"by default {PLATFORM}")
    parser.add_argument("--reason", required=True, type=_reason, help=", ".join(RevocationReason))
    parser.add_argument("--ca", metavar="NAME", help="the CA that issued it, where the journal doesn't know")
    parser.add_argument("--key-file", type=Path, metavar="PATH", help="its private key (PEM, mode 0600) signs for it")
    parser.add_argument("--force", action="store_true", help="also the newest one, which is probably still served")
    parser.add_argument("--dry-run", action="store_true", help="tell what would be done, and change nothing")
    return parser


async def _revoke(
    settings: Settings, named: bytes | JobId, asked: Asked, key: PrivateKey | None, *, dry_run: bool
) -> int:
    async with revoking(settings, own_key=key is not None) as (journal, revocations):
        leaf = await _leaf(journal, named)
        plan = await revocations.plan(leaf, asked, key=key)
        _tell(*_described(plan))
        if dry_run:
            _tell("nothing was done: --dry-run")
            return 0
        try:
            done = await revocations.carry_out(plan)
        except CertbusError as error:
            _tell(_failed(plan, error))
            return 1
        _tell(*_done(done))
    return 0


async def _leaf(journal: Journal, named: bytes | JobId) -> X509Certificate:
    if isinstance(named, bytes):
        return read_chain(named)[0]
    job = await journal.find(named)
    if job is None:
        raise PermanentError(f"the journal doesn't know {named}: give the certificate itself, as a file")
    if job.chain_pem is None:
        raise PermanentError(f"the journal has no certificate of {named}: none was issued yet, or it ended")
    return read_chain(job.chain_pem.encode())[0]


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise PermanentError(f"{file} can't be read: {error.strerror}") from None


def _tell(*lines: str) -> None:
    for line in lines:
        print(line, flush=True)  # noqa: T201 # the command's answer


def _described(plan: Plan) -> list[str]:
    leaf = plan.leaf
    told = {
        "names": ", ".join(leaf.dns_names) or leaf.subject,
        "serial": leaf.serial,
        "SHA-256": leaf.fingerprint_sha256,
        "issuer": leaf.issuer,
        "valid": f"{leaf.not_before:%Y-%m-%dT%H:%MZ} to {leaf.not_after:%Y-%m-%dT%H:%MZ}",
        "revision": ", ".join(map(str, plan.jobs)) or "none of the journal",
        "CA": plan.ca,
        "by": _BY[plan.way],
        "reason": f"{plan.asked.reason} ({plan.asked.reason.code})",
        "note": plan.told,
    }
    return [f"  {what:<9} {value}" for what, value in told.items()]


def _failed(plan: Plan, error: CertbusError) -> str:
    told = f"failed: {error}. Repeat it: that is harmless"
    if isinstance(error, AcmeProblemError) and error.type == "unauthorized" and plan.way is Way.BY_ACCOUNT:
        return f"{told}; or, where another account ordered it, give its own key by --key-file"
    return told


def _done(done: Revoked) -> list[str]:
    first = "it was revoked before" if done.before else "revoked"
    return [first, f"proof: {_PROOFS[done.proof]}{f' ({done.detail})' if done.detail else ''}"]


def _reason(written: str) -> RevocationReason:
    try:
        return reason_named(written)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
