"""An archive that speaks DICOMweb: QIDO-RS to find (PS3.18 10.6), WADO-RS to retrieve (PS3.18 10.4).

Instances are retrieved one by one: what was received before an interruption is not asked for again, and no more than
one instance is in memory.
"""

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from datetime import date
from email.message import Message
from http.client import HTTPException, IncompleteRead
from typing import Any, Final, cast
from urllib.parse import urlencode

from dicom_node.backfill.archive import ArchiveError, RemoteSeries, whole_number
from dicom_node.receive.fetch import opener, read_whole
from inference.identifiers import SeriesInstanceUid, SopInstanceUid, StudyInstanceUid, is_uid

_PAGE: Final = 100
_TIMEOUT_S: Final = 60.0
_MAX_ANSWER_BYTES: Final = 64 << 20  # of one page of a search
_STUDY, _SERIES, _INSTANCE = "0020000D", "0020000E", "00080018"
_MODALITY, _COUNT = "00080060", "00201209"
# Busy or on its way back; all others of 4xx and 5xx say the same when they are asked again.
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


class DicomWeb:
    """A DICOMweb server at `url`, the part before `/studies`."""

    def __init__(
        self, url: str, *, username: str | None = None, password: str | None = None, max_instance_bytes: int
    ) -> None:
        self._url, self._max_instance_bytes = url.rstrip("/"), max_instance_bytes
        self._headers: dict[str, str] = {}
        if username is not None:
            secret = f"{username}:{password or ''}".encode()
            self._headers["Authorization"] = f"Basic {base64.b64encode(secret).decode()}"
        self._opener = opener()

    def series(self, day: date) -> Iterator[RemoteSeries]:
        """The MR series of studies of that day."""
        for study in self._search("/studies", _STUDY, {"StudyDate": f"{day:%Y%m%d}"}):
            study_uid = _uid(study, _STUDY)
            # Servers differ in whether they match Modality here, so it is looked at as well.
            asked = {"Modality": "MR", "includefield": _COUNT}
            for found in self._search(f"/studies/{study_uid}/series", _SERIES, asked):
                if _value(found, _MODALITY) in ("MR", None):
                    yield RemoteSeries(
                        study_instance_uid=StudyInstanceUid(study_uid),
                        series_instance_uid=SeriesInstanceUid(_uid(found, _SERIES)),
                        instances=whole_number(_value(found, _COUNT)),
                    )

    def instances(self, series: RemoteSeries) -> list[SopInstanceUid]:
        """The instances of a series."""
        return [SopInstanceUid(_uid(one, _INSTANCE)) for one in self._search(f"{_path(series)}/instances", _INSTANCE)]

    def fetch(self, series: RemoteSeries, instance: SopInstanceUid) -> bytes:
        """One instance as a Part 10 file."""
        accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
        path = f"{_path(series)}/instances/{instance}"
        content_type, body = self._get(path, accept, self._max_instance_bytes)
        return _only_part(content_type, body)

    def _search(self, path: str, key: str, query: Mapping[str, str] | None = None) -> Iterator[Mapping[str, Any]]:
        """Every match, page by page, until a page has nothing new: servers cap pages as they like."""
        seen: set[str] = set()
        while True:
            asked = {**(query or {}), "limit": str(_PAGE), "offset": str(len(seen))}
            new = [one for one in self._page(f"{path}?{urlencode(asked)}") if _uid(one, key) not in seen]
            if not new:
                return
            seen.update(_uid(one, key) for one in new)
            yield from new

    def _page(self, path: str) -> list[Mapping[str, Any]]:
        _, body = self._get(path, "application/dicom+json", _MAX_ANSWER_BYTES)
        if not body:  # 204, or a length of 0: nothing matches
            return []
        try:
            found: object = json.loads(body)
        except ValueError:
            raise ArchiveError("the archive's answer to a search is not JSON", retry=False) from None
        if not isinstance(found, list):
            raise ArchiveError("the archive's answer to a search is no list of data sets (PS3.18 F)", retry=False)
        return [cast("Mapping[str, Any]", one) for one in cast("list[object]", found) if isinstance(one, dict)]

    def _get(self, path: str, accept: str, max_bytes: int) -> tuple[str, bytes]:
        request = urllib.request.Request(self._url + path, headers={**self._headers, "Accept": accept})  # noqa: S310
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as answer:
                body = read_whole(answer, max_bytes)
                content_type = str(answer.headers.get("Content-Type", ""))
        except urllib.error.HTTPError as error:
            with error:
                raise ArchiveError(f"the archive answers with {error.code}", retry=error.code in _PASSING) from None
        except IncompleteRead:
            raise ArchiveError("the archive's answer ends early", retry=True) from None
        except (OSError, HTTPException) as error:
            raise ArchiveError(f"the archive does not answer: {type(error).__name__}", retry=True) from None
        if len(body) > max_bytes:
            raise ArchiveError(f"the archive answers with more than {max_bytes} bytes", retry=False)
        return content_type, body


def _path(series: RemoteSeries) -> str:
    return f"/studies/{series.study_instance_uid}/series/{series.series_instance_uid}"


def _value(dataset: Mapping[str, Any], tag: str) -> object:
    """The first value of an attribute in DICOM JSON (PS3.18 F.2); None where there is none."""
    try:
        return dataset[tag]["Value"][0]
    except (KeyError, IndexError, TypeError):
        return None


def _uid(dataset: Mapping[str, Any], tag: str) -> str:
    value = _value(dataset, tag)
    if not isinstance(value, str) or not is_uid(value):  # it becomes part of a URL
        raise ArchiveError(f"a match of the archive has no valid UID in ({tag[:4]},{tag[4:]})", retry=False)
    return value


def _only_part(content_type: str, body: bytes) -> bytes:
    """The content of the one part of a multipart answer (RFC 2387); servers that send it bare are understood too."""
    header = Message()
    header["Content-Type"] = content_type
    if header.get_content_type() == "application/dicom":
        return body
    boundary = header.get_boundary()
    if header.get_content_maintype() != "multipart" or boundary is None:
        raise ArchiveError(f"the archive answers with {header.get_content_type()} for an instance", retry=False)
    mark = b"--" + boundary.encode()
    begin = body.find(b"\r\n\r\n", body.find(mark)) + 4
    end = body.rfind(b"\r\n" + mark)
    if mark not in body or begin < 4 or end < begin:
        raise ArchiveError("the archive's multipart answer ends early", retry=True)
    return body[begin:end]
