"""Files of `torch.save`, read without running what others wrote into them."""

import pickle
import struct
from pathlib import Path
from typing import Any, Final

import torch

from training.errors import RefusedError

_ZIP: Final = b"PK\x03\x04"
_LEGACY: Final = 0x1950A86A20F9469CFC6C.to_bytes(10, "little")  # torch before 1.6 begins with this number, pickled
# What torch lets through of files that are damaged: its unpickler takes any bytes for instructions.
_DAMAGED: Final = (
    RuntimeError,
    EOFError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    OverflowError,
    MemoryError,
    struct.error,
)


def read_saved(path: Path) -> Any:
    """The tensors and plain values of a file; RefusedError, in one line, where it is none or holds anything else."""
    refused = f"{path}: cannot be read as a checkpoint"
    try:
        with path.open("rb") as file:
            start = file.read(32)
        if not start.startswith(_ZIP) and _LEGACY not in start:
            raise RefusedError(f"{refused}: torch.save did not write it")
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise RefusedError(f"{refused}: {error.strerror or error}") from error
    except pickle.UnpicklingError as error:
        raise RefusedError(
            f"{path}: holds more than weights, which is not unpickled for safety; save its state_dict alone"
        ) from error
    except _DAMAGED as error:
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise RefusedError(f"{refused}: it is cut short, damaged or of another kind: {why}") from error
