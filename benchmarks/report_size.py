"""The report on a series of 1,000 images, against reading their headers alone, which it cannot do without."""

import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import sample
from dicom_node.report.make import make_report
from dicom_node.report.sr import encode
from inference.read import Reader, read_series
from inference.sources import Instance, find, load
from machine import middle

IMAGES, RUNS = 1000, 5


def main() -> None:
    """Print the section."""
    reader = Reader(model=None)
    with TemporaryDirectory() as scratch:
        folder = sample.write(Path(scratch), count=1, slices=IMAGES)
        instances = [one for one in map(load, find([folder])) if isinstance(one, Instance)]
        reading = read_series(instances, reader).reading
        seconds, headers, size = [], [], 0
        for _ in range(RUNS):
            begun = time.perf_counter()
            for instance in instances:
                instance.dataset()
            headers.append(time.perf_counter() - begun)
            begun = time.perf_counter()
            report = make_report(reading, instances, reader, created_at=datetime.now(UTC), predecessor=None)
            size = len(encode(report))
            seconds.append(time.perf_counter() - begun)
    print(f"Named as evidence, grouped, encoded, with all headers read again: {middle(seconds)}, {size / 1024:.0f} KB.")
    print(f"The headers alone: {middle(headers)}. The goal for all of it is under 2 s.")


if __name__ == "__main__":
    main()
