"""The plugin's side of HTTP: against the node's real web part, and against servers that misbehave."""

from dataclasses import replace
from pathlib import Path

import pytest

from dicom_node.settings import WebSettings
from dicom_node.web.accounts import AccountsFile, TokenEntry, new_token
from http_answers import answering, saying
from inference.reading import Answer, Inconsistency
from orthanc_plugin.node import Node, NodeError
from orthanc_plugin.routing import Result
from peers import free_port
from reading_factory import contrast, read_stack, unread_stack
from web_node import READER, images, make_site, served

FLAGGED = Inconsistency(score=0.99, p_value=0.004, flagged=True)


def test_what_was_read_is_understood(tmp_path: Path) -> None:
    shown = images()
    with served(make_site(tmp_path)) as web:
        reading = web.read(shown, [read_stack(shown, inconsistency=FLAGGED), unread_stack(index=1)])
        known = Node(web.url).series(reading.series_instance_uid)
    assert known is not None
    assert (known.state, known.holds(2), known.holds(3)) == ("read", True, False)
    assert known.result() == Result(
        contrast="T2",
        post_contrast=False,
        flagged=True,
        score=0.99,
        reader_digest=READER,
        report_uid=known.document["reports"][-1]["sop_instance_uid"],
    )


def test_stacks_that_differ_have_no_common_answer(tmp_path: Path) -> None:
    shown = images()
    stacks = [
        read_stack(shown, index=index, contrast=replace(contrast(), post_contrast=Answer(value=value, probability=0.9)))
        for index, value in enumerate((True, False))
    ]
    with served(make_site(tmp_path)) as web:
        known = Node(web.url).series(web.read(shown, stacks).series_instance_uid)
    assert known is not None
    result = known.result()
    assert result is not None
    assert result.post_contrast is None


def test_a_series_that_is_not_known_or_was_not_read(tmp_path: Path) -> None:
    with served(make_site(tmp_path)) as web:
        node = Node(web.url)
        assert node.series("1.2.3") is None
        assert node.read("1.2.3") is False
        uid = web.receive(images())
        known = node.series(uid)
        assert known is not None
        assert (known.state, known.result(), known.holds(2)) == ("receiving", None, True)
        assert node.read(uid) is True


def test_a_token_opens_a_node_that_wants_one(tmp_path: Path) -> None:
    token, digest = new_token()
    site = make_site(tmp_path, settings=WebSettings(sign_in="accounts"))
    site.accounts.write(AccountsFile(tokens={"orthanc": TokenEntry(role="viewer", sha256=digest)}))
    (tmp_path / "token").write_text(f"{token}\n")
    with served(site) as web:
        assert Node(web.url, token_file=tmp_path / "token").series("1.2.3") is None
        with pytest.raises(NodeError, match="401: sign in"):
            Node(web.url).series("1.2.3")
        with pytest.raises(NodeError, match="403: this needs the role reviewer"):
            Node(web.url, token_file=tmp_path / "token").read("1.2.3")
        with pytest.raises(NodeError, match="token of the node cannot be read"):
            Node(web.url, token_file=tmp_path / "nothing").series("1.2.3")


def test_a_node_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match=r"cannot be reached: .*refused"):
        Node(f"http://127.0.0.1:{free_port()}").series("1.2.3")


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (200, b"<html>", "not JSON"),
        (200, b"[]", "not a JSON object"),
        (500, b"oops", "with 500: Internal Server Error"),
        (503, b'{"error": {"code": "x", "message": "the ledger does not answer"}}', "503: the ledger does not answer"),
    ],
)
def test_an_answer_that_is_none(status: int, body: bytes, message: str) -> None:
    with answering(status, body) as url, pytest.raises(NodeError, match=message):
        Node(url).series("1.2.3")


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        b"\x07\0\0\0\0\x04\0\0\0\0\n",  # A-ABORT of a DICOM port (PS3.8 9.3.8)
        b"x" * 70_000,
        b"HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_another_port_than_the_nodes_is_no_fault_of_the_plugin(answer: bytes) -> None:
    with saying(answer) as url, pytest.raises(NodeError) as caught:
        Node(url).series("1.2.3")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_an_address_that_is_none_is_no_fault_of_the_plugin() -> None:
    with pytest.raises(NodeError, match="nonnumeric port"):
        Node("http://127.0.0.1:web").series("1.2.3")
