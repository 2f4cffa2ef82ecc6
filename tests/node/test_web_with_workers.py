"""Everything together: received by one process, read by a Celery worker, kept in PostgreSQL, shown and judged."""

import http.client
import json
import re
import subprocess
from pathlib import Path
from urllib.parse import urlencode

import pytest
from sqlalchemy import create_engine, text

from dicom_factory import series, write_series
from ordeal import Broker, Worker
from peers import program, wait_for
from serving import MRCLIP, Served, serve, write_settings

pytestmark = pytest.mark.peer("redis-server", "dcmsend", "initdb", "postgres")
ANNA = {"X-Remote-User": "anna"}


def ask(
    node: Served, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the answer, as anna, whom a proxy names."""
    connection = http.client.HTTPConnection("127.0.0.1", node.ports["web"], timeout=20)
    try:
        connection.request(method, path, body, {**ANNA, **headers})
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        connection.close()


def test_a_series_is_received_read_by_a_worker_shown_and_judged(tmp_path: Path, postgres_url: str) -> None:
    images = series(3, seed="together", EchoTime=0.09, RepetitionTime=4000)
    write_series(images, tmp_path / "images")
    uid = str(images[0].SeriesInstanceUID)
    broker = Broker(tmp_path)
    broker.start()
    config = write_settings(
        tmp_path,
        queue={"broker_url": broker.url},
        ledger={"database_url": postgres_url},
        destinations=[{"name": "archive", "folder": str(tmp_path / "archive")}],
        web={"sign_in": "proxy"},
    )
    subprocess.run(
        [*MRCLIP, "users", "add", "anna", "--role", "reviewer", "--no-password", "--config", str(config)], check=True
    )
    worker = Worker(config, tmp_path / "worker.log")
    try:
        with serve(config) as node:
            worker.wait_until_ready()
            send = [program("dcmsend"), "-aec", "MRCLIP", "+sd", "127.0.0.1", str(node.ports["dicom"])]
            subprocess.run([*send, str(tmp_path / "images")], check=True, capture_output=True)

            def answered() -> bool:
                status, _, body = ask(node, "GET", f"/api/v1/series/{uid}")
                return status == 200 and json.loads(body)["state"] == "answered"

            wait_for(answered, 60, what="the report being delivered")
            assert len(list((tmp_path / "archive").iterdir())) == 1
            assert b"series read" in (tmp_path / "worker.log").read_bytes(), "by the worker, not by the node"
            assert b"series read" not in node.log.read_bytes()

            unjudged = "/?flagged=true&reviewed=false"
            assert f"/series/{uid}" in ask(node, "GET", unjudged)[2].decode()
            _, headers, content = ask(node, "GET", f"/series/{uid}")
            page = content.decode()
            assert "anna, reviewer" in page
            assert "0.09 ms" in page
            status, _, picture = ask(node, "GET", f"/series/{uid}/stacks/0.png")
            assert (status, picture[:4]) == (200, b"\x89PNG")
            form = {name: re.search(f'name="{name}" value="([^"]+)"', page) for name in ("csrf", "reading")}
            said = {name: found[1] for name, found in form.items() if found is not None}
            body = urlencode({**said, "stack": "0", "finding": "0", "verdict": "rejected"}).encode()
            cookie = headers["set-cookie"].partition(";")[0]
            form_type = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": cookie}
            assert ask(node, "POST", f"/series/{uid}/review", body, **form_type)[0] == 303
            assert f"/series/{uid}" not in ask(node, "GET", unjudged)[2].decode()
            (review,) = json.loads(ask(node, "GET", "/api/v1/reviews")[2])["reviews"]
            assert (review["series_instance_uid"], review["verdict"], review["user"]) == (uid, "rejected", "anna")
    finally:
        worker.stop()
        broker.kill()

    engine = create_engine(postgres_url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT verdict, user_name, finding, at FROM reviews")).all()
    engine.dispose()
    assert [tuple(row)[:3] for row in rows] == [("rejected", "anna", 0)]
    (kept,) = (tmp_path / "data" / "spool" / "reviews").iterdir()
    assert json.loads(kept.read_text())["user"] == "anna"
