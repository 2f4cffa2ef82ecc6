"""The object store: whole objects or none, by whatever URL, and errors that quote no credentials."""

import os
from pathlib import Path

import pytest

from dicom_node.errors import SettingsError
from dicom_node.exchange.store import NotPublishedError, ObjectStore, StoreError, label
from object_store import CREDENTIALS, environment
from peers import free_port


def files(folder: Path, count: int) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"{number:02}.dcm" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(bytes([number]) * 1000)
    return paths


def test_what_is_put_is_listed_fetched_and_removed(store: ObjectStore, tmp_path: Path) -> None:
    paths = files(tmp_path / "given", 20)
    assert store.names("instances/aa") == frozenset()
    store.put((path, f"instances/aa/{path.name}") for path in paths)
    store.put([(paths[0], "instances/bb/00.dcm")])
    assert store.names("instances/aa") == {path.name for path in paths}
    assert store.names("instances") == {"aa", "bb"}

    fetched = tmp_path / "fetched"
    fetched.mkdir()
    store.get((f"instances/aa/{path.name}", fetched / path.name) for path in paths)
    assert [(fetched / path.name).read_bytes() for path in paths] == [path.read_bytes() for path in paths]

    store.remove("instances/aa")
    store.remove("instances/aa")
    assert store.names("instances/aa") == frozenset()
    assert store.names("instances/bb") == {"00.dcm"}


def test_what_is_put_again_is_replaced(store: ObjectStore, tmp_path: Path) -> None:
    one, other = files(tmp_path / "given", 2)
    for path in (one, other):
        store.put([(path, "reports/a.dcm")])
    store.get([("reports/a.dcm", tmp_path / "fetched")])
    assert (tmp_path / "fetched").read_bytes() == other.read_bytes()
    assert store.names("reports") == {"a.dcm"}


def test_what_is_to_last_is_synced_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = files(tmp_path / "given", 1)
    synced, fsync = list[tuple[str, set[str]]](), os.fsync

    def watched(descriptor: int) -> None:
        fsync(descriptor)
        at = Path(f"/proc/self/fd/{descriptor}").resolve()
        folder = at if at.is_dir() else at.parent
        kind = "part" if at.suffix == ".part" else at.name
        synced.append((kind, {one.name for one in folder.iterdir() if one.suffix == ".dcm"}))

    monkeypatch.setattr(os, "fsync", watched)
    store, home = ObjectStore(f"file://{tmp_path / 'store'}"), tmp_path / "home"
    home.mkdir()
    store.put([(path, "reports/a.dcm")])
    assert synced[-2:] == [("part", set()), ("reports", {"a.dcm"})]
    assert [kind for kind, _ in synced[:-2]] == ["store", tmp_path.name]
    synced.clear()
    store.get([("reports/a.dcm", home / "a.dcm")], lasting=True)
    assert synced == [("part", set()), ("home", {"a.dcm"})]


def test_what_is_not_there_yet_is_told_and_leaves_no_file(store: ObjectStore, tmp_path: Path) -> None:
    fetched = tmp_path / "fetched"
    fetched.mkdir()
    with pytest.raises(NotPublishedError):
        store.get([("instances/aa/00.dcm", fetched / "00.dcm")])
    assert list(fetched.iterdir()) == []


def test_a_store_that_is_away_is_told_without_credentials(tmp_path: Path) -> None:
    (path,) = files(tmp_path / "given", 1)
    with environment({**CREDENTIALS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"}):
        store = ObjectStore("s3://series/mrclip")
        for ask in (lambda: store.names("instances"), lambda: store.put([(path, "instances/a")])):
            with pytest.raises(StoreError, match="s3://series/mrclip does not answer as it should: E") as error:
                ask()
            assert error.value.retry
            assert not any(secret in str(error.value) for secret in CREDENTIALS.values())


def test_a_label_names_neither_user_nor_password() -> None:
    assert label("sftp://user:secret@host:22/folder/?key=secret") == "sftp://host:22/folder"


@pytest.mark.parametrize("url", ["/mnt/mrclip", "nothing://bucket", "bucket"])
def test_what_is_no_store_is_an_error_of_the_settings(url: str) -> None:
    with pytest.raises(SettingsError, match=r"spool\.url"):
        ObjectStore(url)
