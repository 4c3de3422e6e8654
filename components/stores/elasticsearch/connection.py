"""Where an Elasticsearch cluster is, who asks it, and whether it is one that can be used."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from haystack.utils import Secret
from haystack.utils.auth import EnvVarSecret

from lodestone.components.errors import ConfigurationError
from lodestone.components.stores.elasticsearch.problems import explained

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

URL_VARIABLE = "ELASTICSEARCH_URL"
USERNAME_VARIABLE = "ELASTIC_USERNAME"
CA_CERTS_VARIABLE = "ELASTIC_CA_CERTS"
DEFAULT_URL = "http://localhost:9200"
OLDEST = (8, 18)  # the first that scores what was found by int8 vectors by the vectors as they were given

_NOT_THERE = (400, 404, 405)  # what is answered to a question for the cluster where there is something else


@dataclass(frozen=True)
class Connection:
    """How to reach a cluster.

    :param hosts: URLs of its nodes; None for what the environment variable `ELASTICSEARCH_URL` says, several separated
        by commas, or else `http://localhost:9200`.
    :param cloud_id: Id of an Elastic Cloud deployment, instead of hosts.
    :param api_key: API key, base64 of `id:key`.
    :param username: Of a user, whose password is `password`; instead of an API key. None for what the environment
        variable `ELASTIC_USERNAME` says.
    :param password: Password of the user.
    :param ca_certs: File of the CA certificates that the cluster's certificate is checked with; None for what the
        environment variable `ELASTIC_CA_CERTS` says, or else the system's.
    :param timeout: Seconds to wait for an answer.
    :raises ConfigurationError: If a secret stands anywhere but in the environment, or parameters contradict each other.
    """

    hosts: str | list[str] | None
    cloud_id: str | None
    api_key: Secret | None
    username: str | None
    password: Secret | None
    ca_certs: str | None
    timeout: float

    def __post_init__(self) -> None:
        for name, secret in (("api_key", self.api_key), ("password", self.password)):
            if secret is not None and not isinstance(secret, EnvVarSecret):
                raise ConfigurationError(
                    f"{name} must come from the environment: Secret.from_env_var(...), in YAML "
                    "{type: env_var, env_vars: [NAME], strict: false}"
                )
        if self.cloud_id is not None and self.hosts is not None:
            raise ConfigurationError("give either hosts or cloud_id, not both")
        if self.cloud_id is None:
            if not self.urls:
                raise ConfigurationError(f"hosts must have at least one URL, got {self.hosts!r}")
            for url in self.urls:
                _check_url(url)
        if isinstance(self.timeout, bool) or not isinstance(self.timeout, int | float) or self.timeout <= 0:
            raise ConfigurationError(f"timeout must be more than 0 seconds, got {self.timeout!r}")

    @property
    def urls(self) -> list[str]:
        """The nodes' URLs; empty for a cloud id."""
        if self.cloud_id is not None:
            return []
        if self.hosts is None:
            return [url.strip() for url in (os.environ.get(URL_VARIABLE) or DEFAULT_URL).split(",")]
        return [self.hosts] if isinstance(self.hosts, str) else list(self.hosts)

    @property
    def shown(self) -> str:
        """What messages call the cluster."""
        return self.urls[0].rstrip("/") if self.urls else f"cloud:{str(self.cloud_id).split(':')[0]}"

    def connect(self) -> "Elasticsearch":
        """Connect, and see that it is a cluster that can be used.

        :returns: The client.
        :raises ConfigurationError: If the cluster refuses the credentials, is too old, or is no Elasticsearch.
        :raises LodestoneError: If it does not answer.
        """
        from elasticsearch import ApiError, Elasticsearch

        try:
            client = Elasticsearch(**self._options())
        except (ValueError, TypeError, OSError) as error:
            if isinstance(error, ConfigurationError):
                raise
            raise ConfigurationError(f"cannot connect to {self.shown} as told: {error}") from error
        try:
            with explained(self.shown):
                about = client.info()
            if "version" not in about:
                raise self._wrong_url("an index")
            _check_version(str(about["version"]["number"]), self.shown)
        except BaseException as error:
            client.close()
            if isinstance(error.__cause__, ApiError) and error.__cause__.status_code in _NOT_THERE:
                raise self._wrong_url(str(error.__cause__.status_code)) from error
            raise
        return client

    def _wrong_url(self, answer: str) -> ConfigurationError:
        return ConfigurationError(
            f"{self.shown} is not the address of an Elasticsearch cluster (its answer: {answer}): name the cluster "
            f"itself by `hosts` or {URL_VARIABLE}, such as {DEFAULT_URL}, without an index or another path"
        )

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {"request_timeout": self.timeout}
        options |= {"cloud_id": self.cloud_id} if self.cloud_id is not None else {"hosts": self.urls}
        ca_certs = os.environ.get(CA_CERTS_VARIABLE) or None if self.ca_certs is None else self.ca_certs
        username = os.environ.get(USERNAME_VARIABLE) or None if self.username is None else self.username
        if ca_certs is not None:
            if not os.path.isfile(ca_certs):
                raise ConfigurationError(f"ca_certs must be a file of certificates: {ca_certs} is not a file")
            options["ca_certs"] = ca_certs
        api_key = None if self.api_key is None else self.api_key.resolve_value()
        password = None if self.password is None else self.password.resolve_value()
        if username is not None:
            if not password:
                names = ", ".join(self.password.to_dict()["env_vars"]) if self.password is not None else "a variable"
                raise ConfigurationError(f"the password of {username!r} is missing: set {names} in the environment")
            options["basic_auth"] = (username, password)
        elif api_key:
            options["api_key"] = api_key
        return options


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        port = parts.port
    except ValueError:
        shown = url.rpartition("@")[2]  # without a password, which the cause may also show
        raise ConfigurationError(f"hosts must be URLs such as https://localhost:9200, got {shown!r}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(f"hosts must be URLs such as https://localhost:9200, got {url!r}")
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(
            f"the URL of {parts.hostname} must not hold a password: give username, and the password in the environment"
        )
    if port is None:
        raise ConfigurationError(f"hosts must name the port, such as {url.rstrip('/')}:9200, got {url!r}")


def _check_version(version: str, shown: str) -> None:
    numbers = tuple(int(part) for part in version.split("-")[0].split(".")[:2])
    if numbers < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise ConfigurationError(f"Elasticsearch {version} at {shown} is too old: {oldest} or newer is needed")
