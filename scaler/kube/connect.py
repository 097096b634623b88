"""Connects to an API server: from within a pod by its service account, elsewhere by a kubeconfig.

No call goes without a time limit, because the client has none of its own, and none is retried below us: a policy
that was late has to be decided again, not sent again.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import urllib3
import yaml
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from scaler.target import (
    TargetConflict,
    TargetError,
    TargetForbidden,
    TargetGone,
    TargetUnavailable,
)

TIMEOUT_S = (3.0, 10.0)
"""To connect, to read."""
_BUSY = {429, 500, 502, 503, 504}
_MESSAGE = 300
_CONNECTION = re.compile(r"^(<[^>]*>|\w+\([^)]*\)): ")
"""What urllib3 says before the reason: its connection, which `subject` makes plain."""


def connect(kubeconfig: Path | None = None, context: str | None = None) -> client.ApiClient:
    """Return a client of the cluster we run in, else of the kubeconfig's (its current) context.

    Raises:
        TargetUnavailable: There is neither; the message says what to give.
    """
    settings = client.Configuration()
    try:
        if kubeconfig is None and "KUBERNETES_SERVICE_HOST" in os.environ:
            config.load_incluster_config(client_configuration=settings)
        else:
            config.load_kube_config(
                config_file=str(kubeconfig) if kubeconfig else None, context=context, client_configuration=settings
            )
    except (config.ConfigException, OSError, ValueError, TypeError, yaml.YAMLError) as error:
        # TypeError: what the client raises for a kubeconfig that is YAML, but not a mapping.
        why = " ".join(str(error).split())
        raise TargetUnavailable(
            f"no cluster: {why}; run in a pod, or name a kubeconfig with scale.cluster.kubeconfig"
        ) from error
    settings.retries = urllib3.Retry(0)
    return client.ApiClient(settings)


def micro_time(wall: datetime) -> datetime:
    """Return a time as a MicroTime takes it: Python leaves a fraction of zero out, and the server refuses that."""
    return wall if wall.microsecond else wall.replace(microsecond=1)


@contextmanager
def told(subject: str) -> Iterator[None]:
    """Turn what the API server answers into the errors of the seam; `subject` names what was asked."""
    try:
        yield
    except ApiException as error:
        raise _of(subject, error) from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise TargetUnavailable(f"{subject}: no answer ({_why(error)})") from error
    except config.ConfigException as error:
        # Credentials are read again while we run: a token that is just being renewed, a plugin that failed.
        raise TargetUnavailable(f"{subject}: no credentials ({error})") from error
    except ValueError as error:
        # The client checks what it reads: a proxy or a captive portal answered in the API server's place.
        raise TargetUnavailable(f"{subject}: the answer is none of an API server's") from error


def _of(subject: str, error: ApiException) -> TargetError:
    status = int(error.status or 0)
    text = f"{subject}: {status} {error.reason}"
    if status == 404:
        return TargetGone(f"{text}; check namespace, kind and name")
    if status == 401:
        return TargetForbidden(f"{text}; the token or certificate is not (or no longer) accepted")
    if status == 403:
        return TargetForbidden(f"{text}; it needs the rights in deploy/kubernetes/rbac.yaml")
    if status == 409:
        return TargetConflict(text)
    if status in _BUSY:
        return TargetUnavailable(text, _retry_after_s(error))
    return TargetError(f"{text}: {_said(error.body)}")


def _said(body: str | bytes | None) -> str:
    """Return the message of the Status that an API server answers with, else what it answered."""
    try:
        told = json.loads(body or "")["message"]
    except (ValueError, TypeError, KeyError):
        told = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    return str(told or "")[:_MESSAGE]


def _why(error: Exception) -> str:
    """Return what kept the client from an answer: urllib3 wraps it in the error of its one retry."""
    cause = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) and error.reason else error
    return _CONNECTION.sub("", str(cause))[:_MESSAGE] or type(cause).__name__


def _retry_after_s(error: ApiException) -> float:
    text = str((error.headers or {}).get("Retry-After", ""))
    return float(text) if text.isdecimal() else 0.0
