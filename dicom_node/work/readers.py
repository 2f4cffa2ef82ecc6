"""Which reader reads next: the bundle that the settings name, taken up anew when a registry's ACTIVE changes."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from dicom_node.errors import SettingsError
from inference.bundle import Bundle, default_bundle, open_bundle
from inference.calibration import Calibration, CalibrationError, read_calibration
from inference.encoder import BackendMissing, CudaError
from inference.manifest import MANIFEST, BundleError
from inference.model import Model, load_model
from inference.read import Reader
from inference.registry import ActiveBundle, Registry, RegistryError

log = logging.getLogger(__name__)

# What is wrong with a bundle, a registry, a calibration, or the settings that name them.
READER_ERRORS: Final = (SettingsError, BundleError, RegistryError, CalibrationError, BackendMissing, CudaError)


class Readers:
    """Gives the reader to begin the next reading with; one that has begun ends with the one it has.

    Safe to share between threads. A site's calibration is used only with the bundle whose digest it names.
    """

    def __init__(
        self,
        *,
        bundle: str | None,
        calibration: Path | None,
        alarm_rate: float,
        load: Callable[..., Model] = load_model,
        strict: bool = False,
    ) -> None:
        """`bundle`: a bundle's folder, a registry's, `none`, or None for the one in the package.

        `strict`: the calibration must be there and be that bundle's; else it is used where it is, and where it is not,
        the bundle's own.
        `load` is `load_model` with the backend, device, threads and batch that the encoder is to have.
        """
        self._source = bundle_source(bundle)
        self.registry = self._source.registry if isinstance(self._source, ActiveBundle) else None
        self._calibration, self._alarm_rate = calibration, alarm_rate
        self._load, self._strict = load, strict
        self._lock = threading.Lock()
        self._made: tuple[tuple[str | None, float | None], Reader] | None = None

    def current(self) -> Reader:
        """The reader as of now. Raises BundleError or RegistryError if the bundle that is asked for is not whole."""
        with self._lock:
            bundle = self._source.current()
            key = (None if bundle is None else bundle.sha256, _changed(self._calibration))
            if self._made is None or self._made[0] != key:
                self._made = (key, self._make(bundle))
                _say(bundle, self._made[1])
            return self._made[1]

    def _make(self, bundle: Bundle | None) -> Reader:
        if bundle is None:
            if self._strict and self._calibration is not None:
                raise CalibrationError(f"{self._calibration}: rules alone have no alarms to calibrate; name a bundle")
            return Reader(model=None, alarm_rate=self._alarm_rate)
        calibration = None if self._calibration is None else self._of_site(self._calibration, bundle)
        return Reader(model=self._load(bundle, calibration=calibration), alarm_rate=self._alarm_rate)

    def _of_site(self, path: Path, bundle: Bundle) -> Calibration | None:
        if not self._strict and not path.exists():
            return None
        try:
            calibration = read_calibration(path.read_bytes())
        except (OSError, CalibrationError) as error:
            raise CalibrationError(f"{path}: {error.strerror if isinstance(error, OSError) else error}") from error
        if calibration.provenance.bundle_sha256 == bundle.sha256:
            return calibration
        theirs = str(calibration.provenance.bundle_sha256)[:12]
        said = f"{path}: made with bundle {theirs}, and this is {bundle.sha256[:12]}; `mrclip calibrate` makes another"
        if self._strict:
            raise CalibrationError(said)
        log.warning("calibration not used: %s", said)
        return None


def _say(bundle: Bundle | None, reader: Reader) -> None:
    """All nodes and workers of a ledger must say the same digest."""
    name = "rules alone" if bundle is None else f"{bundle.manifest.name} {bundle.manifest.version}"
    log.info("reads with %s", name, extra={"reader_digest": reader.digest})


class FixedBundle:
    """A bundle that stays the same for the life of the process."""

    def __init__(self, bundle: Bundle | None) -> None:
        self._bundle = bundle

    def current(self) -> Bundle | None:
        """The bundle; None for rules alone."""
        return self._bundle


def bundle_source(setting: str | None) -> FixedBundle | ActiveBundle:
    """What the setting reader.bundle names; SettingsError if it is no folder, BundleError if a bundle is not whole."""
    if setting is None:
        return FixedBundle(default_bundle())
    if setting == "none":
        return FixedBundle(None)
    folder = Path(setting)
    if not folder.is_dir():
        raise SettingsError(f"reader.bundle: {setting} is not a folder")
    return FixedBundle(open_bundle(folder)) if (folder / MANIFEST).is_file() else ActiveBundle(Registry(folder))


def _changed(path: Path | None) -> float | None:
    return path.stat().st_mtime if path is not None and path.exists() else None
