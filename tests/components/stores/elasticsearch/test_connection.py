"""Credentials and certificates reach a cluster with TLS, whether they are given or stand in the environment."""

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from haystack.utils import Secret

from lodestone.components.errors import ConfigurationError, LodestoneError
from lodestone.components.stores.elasticsearch.connection import Connection

PASSWORD = "pass:word $1"  # with what has a meaning elsewhere
BASIC = "Basic " + base64.b64encode(f"elastic:{PASSWORD}".encode()).decode()


def write_certificates(folder: Path) -> None:
    """An authority, `ca.crt`, and what it signed for `localhost`, `server.crt` and `server.key`."""
    now = datetime.now(UTC)
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("ca", "server")}
    names = {name: x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]) for name in keys}
    for name, key in keys.items():
        certificate = (
            x509.CertificateBuilder()
            .subject_name(names[name])
            .issuer_name(names["ca"])
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=name == "ca", path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .sign(keys["ca"], hashes.SHA256())
        )
        (folder / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "server.key").write_bytes(
        keys["server"].private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


class Handler(BaseHTTPRequestHandler):
    """Says its version to those who have the password or the API key."""

    def do_GET(self) -> None:
        known = self.headers["Authorization"] in (BASIC, "ApiKey aWQ6a2V5")
        content = json.dumps({"version": {"number": "8.19.0"}} if known else {"status": 401}).encode()
        self.send_response(200 if known else 401)
        self.send_header("X-Elastic-Product", "Elasticsearch")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server with TLS; its authority is `ca.crt` in `tmp_path`. No credentials are in the environment."""
    for variable in ("ELASTIC_API_KEY", "ELASTIC_PASSWORD", "ELASTIC_USERNAME", "ELASTIC_CA_CERTS"):
        monkeypatch.delenv(variable, raising=False)
    write_certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://localhost:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def connection(url: str, username: str | None = None, ca_certs: str | None = None) -> Connection:
    api_key = Secret.from_env_var("ELASTIC_API_KEY", strict=False)
    return Connection(url, None, api_key, username, Secret.from_env_var("ELASTIC_PASSWORD", strict=False), ca_certs, 5)


def test_user_and_authority_may_be_given(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELASTIC_PASSWORD", PASSWORD)
    monkeypatch.setenv("ELASTIC_USERNAME", "somebody-else")
    monkeypatch.setenv("ELASTIC_CA_CERTS", "/nowhere/ca.crt")
    connection(url, "elastic", str(tmp_path / "ca.crt")).connect().close()


def test_user_and_authority_may_stand_in_the_environment(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELASTIC_PASSWORD", PASSWORD)
    monkeypatch.setenv("ELASTIC_USERNAME", "elastic")
    monkeypatch.setenv("ELASTIC_CA_CERTS", str(tmp_path / "ca.crt"))
    connection(url).connect().close()


def test_an_api_key_is_enough(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELASTIC_API_KEY", "aWQ6a2V5")
    monkeypatch.setenv("ELASTIC_CA_CERTS", str(tmp_path / "ca.crt"))
    connection(url).connect().close()


def test_a_wrong_password_is_refused(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELASTIC_PASSWORD", "wrong")
    monkeypatch.setenv("ELASTIC_USERNAME", "elastic")
    with pytest.raises(ConfigurationError, match="credentials"):
        connection(url, ca_certs=str(tmp_path / "ca.crt")).connect()


def test_a_cluster_of_an_unknown_authority_is_not_asked(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELASTIC_API_KEY", "aWQ6a2V5")
    with pytest.raises(LodestoneError, match=f"certificate of {url} cannot be checked: give ca_certs"):
        connection(url).connect()


def test_a_missing_file_of_certificates_is_named(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELASTIC_CA_CERTS", "/nowhere/ca.crt")
    with pytest.raises(ConfigurationError, match=r"ca_certs must be .* /nowhere/ca\.crt is not a file"):
        connection(url).connect()
