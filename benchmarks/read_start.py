"""`mrclip read` of one 20-slice series, from the start of the interpreter to its JSON, against importing torch."""

import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import atto_bundle
import sample
from machine import middle

RUNS = 9


def timed(*command: str) -> float:
    """Wall seconds of one run."""
    begun = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def main() -> None:
    """Print the section."""
    with TemporaryDirectory() as scratch:
        bundle = str(atto_bundle.write(Path(scratch) / "bundle"))
        study = str(sample.write(Path(scratch) / "study", count=1, slices=20))
        mrclip = (sys.executable, "-m", "dicom_node.cli", "read", study, "--json", "--bundle")
        commands = {
            "`mrclip read --json`, ConvNeXt-atto at 224 px, 16 slices encoded": (*mrclip, bundle),
            "`mrclip read --json --bundle none`, rules alone": (*mrclip, "none"),
            "for comparison: `python -c 'import torch'`": (sys.executable, "-c", "import torch"),
        }
        seconds = {name: [timed(*command) for _ in range(RUNS)] for name, command in commands.items()}
    print("| interpreter start to exit, one series of 20 slices, 256 x 256 | median (range) |\n|---|---|")
    for name, values in seconds.items():
        print(f"| {name} | {middle(values)} |")
    print("\nThe goal is under 1.5 s on 2 cores.")


if __name__ == "__main__":
    main()
