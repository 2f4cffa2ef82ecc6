"""Pictures of the slices that were read, made from the spool when a page asks for them, by the code that reads them."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from io import BytesIO
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from dicom_node.ledger.records import SeriesRecord
from dicom_node.receive.spool import Spool
from inference.identifiers import SeriesInstanceUid, SopInstanceUid
from inference.pixels import PixelError, PixelSpec, read_slices, unit_images
from inference.reading import StackReading
from inference.sources import Instance, SourceFile, load
from inference.stacks import ChosenSlice, choose, split

COLUMNS: Final = 4
TILE_PX: Final = 176
_UNREAD_SLICES: Final = 8  # shown of a stack of which nothing was read
_GAP_PX: Final = 2
_KEPT_BYTES: Final = 32 << 20
# Why a stack was not read, where there is something to look at all the same.
_LOOKED_AT: Final = frozenset({"no-model", "out-of-domain", "low-confidence", "localizer"})


class PictureError(Exception):
    """There is no picture of this stack; the text says why."""


def has_picture(stack: StackReading) -> bool:
    """Whether there is something to look at in a stack."""
    return stack.reason is None or stack.reason.code in _LOOKED_AT


class Pictures:
    """Makes montages, one at a time since each takes a core and the memory of its slices, and keeps the last ones."""

    def __init__(self, spool: Spool, *, kept_bytes: int = _KEPT_BYTES) -> None:
        self._spool, self._kept_bytes = spool, kept_bytes
        self._turn = threading.Lock()
        self._kept: OrderedDict[tuple[str, str, int], bytes] = OrderedDict()

    def montage(self, record: SeriesRecord, stack: StackReading) -> bytes:
        """One PNG of the slices of `stack` that were read, row by row; PictureError where they cannot be shown."""
        series = record.summary.series_instance_uid
        key = (series, "" if record.reading is None else record.reading.instances_digest, stack.index)
        with self._turn:
            png = self._kept.pop(key, None)
            if png is None:
                instances, chosen = self._chosen(record, stack)
                png = _png(_montage(_images(instances, chosen)))
            self._kept[key] = png
            while sum(map(len, self._kept.values())) > self._kept_bytes and len(self._kept) > 1:
                self._kept.popitem(last=False)
            return png

    def _chosen(
        self, record: SeriesRecord, stack: StackReading
    ) -> tuple[dict[SopInstanceUid, Instance], Sequence[ChosenSlice]]:
        series = record.summary.series_instance_uid
        if stack.images:
            instances = self._load(series, {image.sop_instance_uid for image in stack.images})
            return instances, [_slice(instances[image.sop_instance_uid], image.frame) for image in stack.images]
        # Nothing was encoded. The stack is found again in the series, which must be what it was.
        instances = self._load(series, None)
        stacks = split([header for instance in instances.values() for header in instance.headers])
        if stack.index >= len(stacks) or stacks[stack.index].slices != stack.slices:
            raise PictureError("the series has grown since this stack was looked at")
        return instances, choose(stacks[stack.index], _UNREAD_SLICES)

    def _load(self, series: SeriesInstanceUid, wanted: set[SopInstanceUid] | None) -> dict[SopInstanceUid, Instance]:
        """The wanted instances of a series, or all; PictureError if one is not in the spool any more."""
        if wanted is None:
            paths = self._spool.instances(series)
        else:
            paths = [self._spool.instance_path(series, uid) for uid in wanted]
        loaded = [load(SourceFile(path=path)) for path in paths]
        instances = {one.sop_instance_uid: one for one in loaded if isinstance(one, Instance)}
        if not instances or (wanted is not None and wanted - instances.keys()):
            raise PictureError("its images are not in the spool any more")
        return instances


def _slice(instance: Instance, frame: int) -> ChosenSlice:
    if not 1 <= frame <= len(instance.headers):
        raise PictureError("its images are not what they were")
    return ChosenSlice(header=instance.headers[frame - 1])  # a mosaic is shown whole


def _images(instances: dict[SopInstanceUid, Instance], chosen: Sequence[ChosenSlice]) -> list[npt.NDArray[np.uint8]]:
    spec = PixelSpec(size_px=TILE_PX)
    spacing = chosen[0].header.pixel_spacing_mm if chosen else None
    try:
        images = unit_images(read_slices(chosen, instances), spec, pixel_spacing_mm=spacing)
    except PixelError as error:
        raise PictureError(f"the pixels cannot be shown: {error.reason.code}") from error
    return list(np.round(images * 255).astype(np.uint8))


def _montage(images: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    """The images row by row on black, at most `COLUMNS` in a row."""
    columns = min(COLUMNS, len(images))
    rows = -(-len(images) // columns)
    step = TILE_PX + _GAP_PX
    canvas = np.zeros((rows * step - _GAP_PX, columns * step - _GAP_PX), np.uint8)
    for index, image in enumerate(images):
        top, left = (index // columns) * step, (index % columns) * step
        canvas[top : top + TILE_PX, left : left + TILE_PX] = image
    return canvas


def _png(canvas: npt.NDArray[np.uint8]) -> bytes:
    buffer = BytesIO()
    Image.fromarray(canvas).save(buffer, "PNG")
    return buffer.getvalue()
