"""The node as one object: receives, keeps, reads, reports and delivers from `start` to `stop`."""

import logging
from dataclasses import replace
from types import TracebackType
from typing import Self

from dicom_node.ledger.rebuild import reconcile
from dicom_node.receive.quarantine import Quarantine
from dicom_node.settings import Settings
from dicom_node.web.app import WebServer, make_app
from dicom_node.web.metrics import Metrics
from dicom_node.wiring import (
    make_dispatcher,
    make_fetcher,
    make_pipeline,
    make_publisher,
    make_readers,
    make_remover,
    make_scp,
    make_site,
    make_sweeper,
    open_ledger,
)
from dicom_node.wiring_receive import (
    make_commitment_scp,
    make_intake,
    make_recorder,
    make_reporter,
    open_spool,
    utc_now,
)
from dicom_node.work.files import SpoolFiles

log = logging.getLogger(__name__)


class Node:
    """Everything that `mrclip serve` runs; a context manager."""

    def __init__(self, settings: Settings) -> None:
        """Open spool, ledger and bundle; nothing runs yet. Raises what any of them raises for wrong settings."""
        self.settings = settings
        self.spool = open_spool(settings, settled=False)  # the recorder settles it
        self.ledger, self._engine = open_ledger(settings)
        self.readers = make_readers(settings)
        self.readers.current()  # a bundle that is not whole is an error now, not with the first series
        self.quarantine = Quarantine(self.spool.root)
        metrics = Metrics()
        self._recorder = make_recorder(settings, ledger=metrics.counted(self.ledger), spool=self.spool)
        intake = make_intake(settings, ledger=self._recorder, spool=self.spool)
        self._reporter = make_reporter(settings, ledger=self.ledger, spool=self.spool)
        commitment = make_commitment_scp(settings, ledger=self.ledger, reporter=self._reporter, recorder=self._recorder)
        self.scp = make_scp(settings, intake=intake, commitment=commitment, metrics=metrics, lost=self._lost)
        self._publisher = make_publisher(settings, ledger=self.ledger, spool=self.spool)
        self._remover = make_remover(settings, ledger=self.ledger, spool=self.spool, publisher=self._publisher)
        self._fetcher = make_fetcher(settings, intake)
        pipeline = make_pipeline(settings, ledger=self.ledger, files=SpoolFiles(self.spool), readers=self.readers)
        self._dispatcher = make_dispatcher(settings, pipeline, done=self._wake)
        self._sweeper = make_sweeper(
            settings, ledger=self.ledger, readers=self.readers, dispatcher=self._dispatcher, publisher=self._publisher
        )
        site = make_site(
            settings, ledger=self.ledger, spool=self.spool, fetcher=self._fetcher, readers=self.readers,
            metrics=metrics,
        )  # fmt: skip
        if self._publisher is not None:
            site = replace(site, store=self._publisher.check)
        self.web = WebServer(make_app(site), settings.web.host, settings.web.port)

    def start(self) -> None:
        """Clean up after a crash, bring the ledger up to the spool, and go on with everything unfinished."""
        self.spool.clean()
        self.quarantine.clean()
        reconcile(self.ledger, self.spool, now=utc_now(), quiet_s=self.settings.series.quiet_s)
        self._recorder.start()
        self.web.start()
        self.scp.start()
        self._reporter.start()
        self._remover.start()
        if self._publisher is not None:
            self._publisher.start()
        self._sweeper.start()

    def stop(self) -> None:
        """Accept nothing more, finish what runs, leave the rest to the next start."""
        self.scp.stop()
        self.web.stop()
        self._fetcher.close()
        self._recorder.stop()
        self._reporter.stop()
        self._remover.stop()
        if self._publisher is not None:
            self._publisher.stop()
        self._sweeper.stop()
        self._dispatcher.close()
        self._engine.dispose()

    def _lost(self) -> None:
        # Of one receiving process: senders of the others were not cut off, and wait for nothing.
        reconcile(self.ledger, self.spool, now=utc_now(), quiet_s=self.settings.series.quiet_s, waits=False)

    def _wake(self) -> None:
        self._sweeper.wake()

    @property
    def ports(self) -> dict[str, int]:
        """The ports that it got, by interface."""
        return {"dicom": self.scp.port, "web": self.web.port}

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()  # a port that is taken must not leave threads behind
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
