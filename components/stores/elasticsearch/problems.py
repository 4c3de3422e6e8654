"""What Elasticsearch's errors mean for the person who runs the software."""

import contextlib
from collections.abc import Iterator
from typing import Any

from elastic_transport import ConnectionError as NoConnection
from elastic_transport import TransportError
from elasticsearch import ApiError, UnsupportedProductError

from lodestone.components.errors import ConfigurationError, LodestoneError


@contextlib.contextmanager
def explained(where: str) -> Iterator[None]:
    """Turn what the client raises into errors that say what to do.

    :param where: What was asked: a cluster's URL, or an index's.
    :raises ConfigurationError: If the request can never succeed as it is.
    :raises LodestoneError: If it failed for now.
    """
    try:
        yield
    except UnsupportedProductError as error:
        raise ConfigurationError(f"{where} is not Elasticsearch, or one older than 7.14: name another URL") from error
    except ApiError as error:
        raise _of_answer(error, where) from error
    except TransportError as error:
        raise _of_transport(error, where) from error


def reason_of(body: Any) -> str:
    """The innermost reason in an error that Elasticsearch sent.

    :param body: An answer's body, its `error`, or that of one document of a bulk request.
    """
    error = body.get("error", body) if isinstance(body, dict) else body
    if not isinstance(error, dict):
        return str(error)
    causes = error.get("root_cause") or error.get("failed_shards") or []
    reason = str(error.get("reason") or error.get("type") or error)
    first = causes[0] if causes else {}
    inner = first.get("reason") if isinstance(first, dict) else None
    if isinstance(inner, dict):
        inner = inner.get("reason")
    caused = error.get("caused_by")
    if isinstance(caused, dict) and caused.get("reason") and caused["reason"] not in reason:
        inner = caused["reason"]
    return reason if not inner or inner in reason else f"{reason}: {inner}"


def _of_answer(error: ApiError, where: str) -> LodestoneError:
    status, reason = error.status_code, reason_of(error.body)
    if status == 401:
        return ConfigurationError(
            f"{where} refused the credentials (401): set ELASTIC_API_KEY, or give username and set ELASTIC_PASSWORD, "
            "to what the cluster knows"
        )
    if "index read-only" in reason or "FORBIDDEN/" in reason or "TOO_MANY_REQUESTS/12" in reason:
        return read_only(where, reason)
    if status == 403:
        return ConfigurationError(f"{where}: these credentials do not allow that (403): {reason}")
    if status == 404 and error.error == "index_not_found_exception":
        return ConfigurationError(f"there is no index {where} any more; make one with `lodestone index PATH`")
    if status == 413:
        return ConfigurationError(
            f"{where} refused a request as too large (413): set the store's bulk_bytes below what the cluster "
            "(http.max_content_length), or a proxy before it, takes"
        )
    if status in (429, 502, 503, 504):
        return LodestoneError(
            f"{where} is not able to answer now ({status}: {reason}): look at its health (GET /_cluster/health), and "
            "run the same command again when it is not red; nothing that was acknowledged is lost"
        )
    return LodestoneError(f"{where} refused a request ({status}): {reason}")


def _of_transport(error: TransportError, where: str) -> LodestoneError:
    if "TLS" in type(error).__name__ or "CERTIFICATE" in str(error).upper():
        return ConfigurationError(
            f"the certificate of {where} cannot be checked: give ca_certs, the file of the CA that signed it ({error})"
        )
    what = "cannot be reached" if isinstance(error, NoConnection) else "did not answer in time"
    return LodestoneError(
        f"{where} {what}: see that Elasticsearch runs there, or name it by `hosts` or ELASTICSEARCH_URL; then run the "
        f"same command again, nothing that was acknowledged is lost ({error.message})"
    )


def read_only(where: str, reason: str) -> LodestoneError:
    """The error of an index that refuses to be written to."""
    return LodestoneError(
        f"{where} is read-only ({reason}): free disk space or lift the block (PUT INDEX/_settings "
        '{"index.blocks.write": null, "index.blocks.read_only": null, "index.blocks.read_only_allow_delete": null}), '
        "then run the same command again; nothing that was acknowledged is lost"
    )
