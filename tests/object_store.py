"""A private S3 (moto's server) that can be away, with a bucket in it."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3

from peers import free_port, listens, running

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "mrclip-test-key", "AWS_SECRET_ACCESS_KEY": "mrclip-test-secret"}


@dataclass(frozen=True, kw_only=True)
class S3:
    """Where it is."""

    port: int
    url: str = "s3://series/mrclip"

    @property
    def environment(self) -> dict[str, str]:
        """What a client of it needs in its environment."""
        return {**CREDENTIALS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}", "AWS_DEFAULT_REGION": "us-east-1"}

    def names(self) -> list[str]:
        """Everything that is in it, without the prefix."""
        with _client(self.port) as client:
            found = client.list_objects_v2(Bucket="series").get("Contents", [])
            return sorted(one["Key"].removeprefix("mrclip/") for one in found)


@contextmanager
def s3(folder: Path, port: int | None = None) -> Iterator[S3]:
    """A server that keeps everything in memory, until the block ends."""
    port = free_port() if port is None else port
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with running(command, log=folder / f"s3-{port}.log", ready=lambda: listens(port), deadline_s=60):
        with _client(port) as client:
            client.create_bucket(Bucket="series")
        yield S3(port=port)


@contextmanager
def _client(port: int) -> Iterator[boto3.client]:
    client = boto3.client(
        "s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1",
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"], aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )  # fmt: skip
    try:
        yield client
    finally:
        client.close()


@contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """`os.environ` with `values` until the block ends."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
