# redis annotates some of its arguments with nothing.
# pyright: reportUnknownMemberType=false
"""Whether the broker answers."""

import redis
from pydantic import SecretStr

from dicom_node.addresses import shown_url
from dicom_node.errors import NodeError


class BrokerAwayError(NodeError):
    """The broker does not answer; series are received meanwhile, and wait."""


def ask(url: SecretStr, *, timeout_s: float) -> float:
    """PING the broker; its clock, in seconds since 1970. Raises BrokerAwayError, which quotes no password."""
    try:
        with redis.Redis.from_url(
            url.get_secret_value(), socket_connect_timeout=timeout_s, socket_timeout=timeout_s
        ) as client:
            client.ping()
            seconds, micros = client.time()
    except (redis.RedisError, OSError, ValueError) as error:  # its text may quote the URL
        raise BrokerAwayError(f"{shown_url(url)} does not answer ({type(error).__name__})") from error
    return seconds + micros / 1e6
