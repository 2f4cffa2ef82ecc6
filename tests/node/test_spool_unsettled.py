"""One sync an instance: whatever names a power cut leaves, what was answered for is found whole, and nothing torn."""

import errno
import os
import threading
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import ExplicitVRLittleEndian

from dicom_node.errors import SpoolFullError
from dicom_node.receive import files
from dicom_node.receive.spool import EncodedInstance, Spool
from inference.identifiers import SeriesInstanceUid, SopInstanceUid


def instance(data_set: bytes, *, uid: str = "1.2.3.4") -> EncodedInstance:
    return EncodedInstance(
        series_instance_uid=SeriesInstanceUid("1.2.3"),
        sop_instance_uid=SopInstanceUid(uid),
        sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        data_set=data_set,
    )


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", settled=False)


def parts(spool: Spool) -> list[Path]:
    return sorted(spool.root.rglob("*.part"))


def everything(spool: Spool) -> list[Path]:
    return sorted(path for path in spool.root.rglob("*") if path.is_file())


def test_an_instance_has_two_names_until_its_folder_is_synced(spool: Spool):
    stored = spool.store(instance(b"data"))
    (part,) = parts(spool)
    assert part.samefile(stored.path)
    spool.settle()
    assert everything(spool) == [stored.path]
    assert stored.path.stat().st_nlink == 1
    spool.settle()
    assert spool.store(instance(b"data")).arrival == "duplicate"
    assert spool.store(instance(b"other")).arrival == "conflict"
    assert parts(spool) == []


def test_bytes_are_synced_before_the_name_and_the_folder_before_the_part_goes(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
):
    spool.store(instance(b"first", uid="1"))  # makes the folder
    spool.settle()
    happened: list[str] = []

    def on(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def recorded(*arguments: Any, **options: Any) -> Any:
            what = "folder" if name == "fsync" and Path(f"/proc/self/fd/{arguments[0]}").is_dir() else ""
            happened.append(name + what)
            return call(*arguments, **options)

        return recorded

    for name in ("fsync", "link", "unlink"):
        monkeypatch.setattr(os, name, on(name, getattr(os, name)))
    spool.store(instance(b"second", uid="2"))
    spool.store(instance(b"third", uid="3"))
    assert happened == ["fsync", "link"] * 2
    spool.settle()
    assert happened[4:] == ["fsyncfolder", "unlink", "unlink"]


def test_what_has_only_the_name_of_its_part_after_a_power_cut_gets_its_own(spool: Spool):
    stored = [spool.store(instance(b"%d" % number * 1000, uid=f"1.{number}")).path for number in range(1, 5)]
    contents = [path.read_bytes() for path in stored]
    for path in stored[:3]:  # of the last one the disk got both names
        path.unlink()
    again = Spool(spool.root)
    assert again.clean() == 4
    assert [path.read_bytes() for path in stored] == contents
    assert everything(again) == sorted(stored)
    assert again.clean() == 0
    assert again.store(instance(b"1" * 1000, uid="1.1")).arrival == "duplicate"  # its sender got no answer


@pytest.mark.parametrize("torn", [lambda whole: whole[:-1], lambda whole: whole[:-4] + bytes(4), lambda whole: b""])
def test_what_was_not_synced_was_not_answered_for_and_goes(spool: Spool, torn: Callable[[bytes], bytes]):
    path = spool.store(instance(b"data")).path
    (part,) = parts(spool)
    part.write_bytes(torn(path.read_bytes()))
    path.unlink()
    assert Spool(spool.root).clean() == 1
    assert everything(spool) == []


def test_a_part_whose_name_was_taken_meanwhile_is_kept_aside_where_it_says_something_else(spool: Spool):
    path = spool.store(instance(b"first")).path
    first = path.read_bytes()
    path.unlink()
    Spool(spool.root).store(instance(b"second"))
    assert Spool(spool.root).clean() == 1
    assert path.read_bytes().endswith(b"second")
    (aside,) = spool.conflicts()
    assert aside.read_bytes() == first
    assert aside == spool.conflict_path(SopInstanceUid("1.2.3.4"), b"first")


def test_a_part_whose_name_was_taken_by_the_same_data_set_goes(spool: Spool):
    path = spool.store(instance(b"same")).path
    path.unlink()
    Spool(spool.root).store(instance(b"same"))
    assert Spool(spool.root).clean() == 1
    assert everything(spool) == [path]


def test_a_part_that_cannot_be_named_stays_for_the_next_start(spool: Spool, monkeypatch: pytest.MonkeyPatch):
    path = spool.store(instance(b"data")).path
    path.unlink()
    left = parts(spool)

    def full(*_: Any) -> None:
        raise SpoolFullError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr("dicom_node.receive.spool.move_whole", full)
        assert Spool(spool.root).clean() == 0
    assert everything(spool) == left
    assert Spool(spool.root).clean() == 1
    assert everything(spool) == [path]


def test_a_folder_that_cannot_be_synced_keeps_its_parts(spool: Spool, monkeypatch: pytest.MonkeyPatch):
    path = spool.store(instance(b"data")).path
    left = parts(spool)

    def fail(_: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(files, "sync_folder", fail)
        spool.settle()
    assert everything(spool) == sorted([path, *left])
    spool.clean()
    assert everything(spool) == [path]


def test_a_folder_that_retention_took_away_needs_no_sync(spool: Spool):
    folder = spool.store(instance(b"data")).path.parent
    folder.rename(spool.root / "removed")
    spool.settle()
    assert len(list((spool.root / "removed").iterdir())) == 2  # they are deleted with it


@pytest.mark.parametrize("call", ["fsync", "link", "write"])
def test_a_full_disk_leaves_nothing_behind(spool: Spool, monkeypatch: pytest.MonkeyPatch, call: str):
    spool.store(instance(b"first", uid="1"))
    spool.settle()
    before = everything(spool)

    def fail(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, call, fail)
        with pytest.raises(SpoolFullError, match="ENOSPC"):
            spool.store(instance(b"second", uid="2"))
    spool.settle()
    assert everything(spool) == before


def test_of_two_processes_one_may_clean_while_the_other_stores(spool: Spool):
    done, other = threading.Event(), Spool(spool.root)

    def clean() -> None:
        while not done.is_set():
            other.clean()

    cleaner = threading.Thread(target=clean)
    cleaner.start()
    try:
        stored = [spool.store(instance(b"%d" % number, uid=f"1.{number}")).path for number in range(1, 200)]
        spool.settle()
    finally:
        done.set()
        cleaner.join()
    assert everything(spool) == sorted(stored)
    assert all(path.read_bytes().endswith(b"%d" % number) for number, path in enumerate(stored, 1))


def test_the_part_says_what_its_file_is_to_be(spool: Spool):
    path = spool.store(instance(b"data")).path
    (part,) = parts(spool)
    name, _, rest = part.name.partition(".dcm.")
    assert name == sha256(b"1.2.3.4").hexdigest()
    size, checksum = rest.split(".")[1].split("-")
    assert int(size) == path.stat().st_size
    assert len(checksum) == 8
