"""The wheel as it would be published: metadata, contents, entry points. setup.cfg ignores what it does not know."""

import email
import subprocess
import sys
import zipfile
from email.message import Message
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from a clean copy of what git tracks."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    for name in filter(None, tracked.decode().split("\0")):
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(out), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    return zipfile.ZipFile(next(out.glob("*.whl")))


def read(wheel: zipfile.ZipFile, name: str) -> str:
    """A file of the wheel's metadata."""
    return wheel.read(next(path for path in wheel.namelist() if path.endswith(f".dist-info/{name}"))).decode()


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    """METADATA, parsed."""
    return email.message_from_string(read(wheel, "METADATA"))


def test_its_metadata_is_what_setup_cfg_means(metadata: Message) -> None:
    assert metadata["Name"] == "mrclip"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "Apache-2.0"
    extras = {"cpu", "gpu", "otel", "postgres", "store", "test", "training"}
    assert set(metadata.get_all("Provides-Extra", [])) == extras
    assert "contradict" in metadata["Summary"]


def test_the_base_install_has_neither_torch_nor_a_gpl_codec(metadata: Message) -> None:
    base = {line.split()[0].split(">")[0] for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line}
    assert {"pydicom", "pynetdicom", "highdicom", "celery", "redis", "numpy", "python-gdcm", "pyjpegls"} <= base
    assert not {"torch", "open_clip_torch", "onnxruntime", "pylibjpeg-libjpeg"} & base


def test_the_packages_and_their_data_are_in_it_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {
        "dicom_node",
        "inference",
        "orthanc_plugin",
        "training",
    }
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout.decode()
    packaged = {
        name
        for name in tracked.split("\0")
        if name.split("/")[0] in ("dicom_node", "inference", "orthanc_plugin", "training")
        and (ROOT / name).is_file()
        and name != "training/LOG.md"  # for those who read the code
    }
    assert packaged <= names, packaged - names


def test_the_commands_are_in_it(wheel: zipfile.ZipFile) -> None:
    assert "mrclip = dicom_node.cli:main" in read(wheel, "entry_points.txt")
    assert "mrclip-train = training.cli:main" in read(wheel, "entry_points.txt")
