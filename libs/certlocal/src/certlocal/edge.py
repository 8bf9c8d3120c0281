"""The balancer of site1: a real HAProxy whose certificates come from the pusher, and from nowhere else."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from certlocal.haproxy_server import HaproxyServer
from certlocal.home import Home
from certlocal.private_file import write_private
from certlocal.tools import Tell

__all__ = ["make_edge"]


def make_edge(home: Home, port: int, tell: Tell) -> tuple[HaproxyServer, Path]:
    """HAProxy on a loopback port, not started yet, and its admin socket."""
    socket = home.sockets / "admin.sock"
    folder = home.path("haproxy")
    certificates = folder / "certificates"
    certificates.mkdir(parents=True, exist_ok=True, mode=0o700)
    crt_list = folder / "crt-list.txt"
    if not crt_list.exists():
        # HAProxy doesn't bind without a certificate: this one is for names that nobody has delivered yet.
        placeholder = folder / "placeholder.pem"
        write_private(placeholder, _placeholder())
        crt_list.write_text(f"{placeholder}\n")
    configuration = f"""\
global
  log stdout format raw local0 warning
  stats socket {socket} mode 600 level admin
  ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend edge
  bind 127.0.0.1:{port} ssl crt-list {crt_list}
  http-request return status 200 content-type text/plain string "served by the balancer of site1\\n"
"""
    return HaproxyServer(folder=home.sockets, configuration=configuration, ports=(port,), tell=tell), socket


def _placeholder() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nothing delivered yet")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=3650))
        .sign(key, SHA256())
    )
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM) + key_pem
