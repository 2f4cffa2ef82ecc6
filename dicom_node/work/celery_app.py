"""The same tasks on Celery workers: JSON messages that carry keys, acknowledged late, on queues `read` and `deliver`.

Celery's own retries stay unused: a message is a hint, the row in the ledger says whether there is something to do,
counts the attempts and holds the lease. So a message that is lost, repeated or late does no harm.
"""

import logging
import time
from collections.abc import Callable, Iterable
from typing import Final

import kombu.exceptions
import redis.exceptions
from celery import Celery

from dicom_node.ledger.records import LATER, LIVE, Priority
from dicom_node.logs import Trouble
from dicom_node.work.dispatch import Tasks
from inference.identifiers import SeriesInstanceUid, is_uid

log = logging.getLogger(__name__)

READ: Final = "mrclip.read"
DELIVER: Final = "mrclip.deliver"
QUEUES: Final = ("read", "deliver")
# A broker that is down must not hold up ingest: one quick try, the sweeper comes again.
_BROKER_ERRORS: Final = (kombu.exceptions.OperationalError, redis.exceptions.RedisError, OSError)

_AWAY_S: Final = 2.0  # a broker that did not answer is left alone for so long: each try may take as long
_AWAY: Final = "broker not reachable, the sweeper will submit again"


def make_app(broker_url: str, *, visibility_timeout_s: float) -> Celery:
    """A Celery application without tasks: enough to send them."""
    app = Celery("mrclip", broker=broker_url)
    options = {"visibility_timeout": visibility_timeout_s, "socket_connect_timeout": 2, "socket_timeout": 5}
    app.conf.update(
        accept_content=["json"],
        broker_connection_max_retries=None,  # for ever: after a hundred, Celery would give up within the hour
        broker_connection_retry_on_startup=True,
        # Redis has no priorities: each is a list of its own, and workers look into them in this order.
        broker_transport_options={**options, "max_retries": 0, "priority_steps": [LIVE, LATER]},
        result_backend=None,
        task_acks_late=True,
        task_ignore_result=True,
        task_reject_on_worker_lost=False,  # the lease brings the work back, and counts the attempt
        task_routes={READ: {"queue": "read"}, DELIVER: {"queue": "deliver"}},
        task_serializer="json",
        task_track_started=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_hijack_root_logger=False,
        worker_proc_alive_timeout=60,  # on a busy machine a process takes more than Celery's 4 s to begin
        worker_prefetch_multiplier=1,
    )
    return app


def add_tasks(
    app: Celery,
    tasks: Callable[[], Tasks],
    *,
    ready: Callable[[SeriesInstanceUid], Iterable[tuple[int, Priority]]] = lambda _: (),
) -> None:
    """Register both tasks; `tasks` is asked in the process that runs them, after any fork.

    `ready` names the deliveries of a series that was read: they need not wait for the next sweep.
    """

    @app.task(name=READ, shared=False)
    def read(series_uid: str) -> None:  # pyright: ignore[reportUnusedFunction] - registered by its decorator
        if not is_uid(series_uid):
            log.error("message without a valid key", extra={"task": READ})
            return
        series = SeriesInstanceUid(series_uid)
        tasks().read(series)
        for delivery_id, priority in ready(series):
            if not _send(app, DELIVER, delivery_id, priority):
                log.warning(_AWAY, extra={"task": DELIVER, "address": _address(app)})
                break  # nor does it take the others

    @app.task(name=DELIVER, shared=False)
    def deliver(delivery_id: object) -> None:  # pyright: ignore[reportUnusedFunction]
        if not isinstance(delivery_id, int):
            log.error("message without a valid key", extra={"task": DELIVER})
            return
        tasks().deliver(delivery_id)


class CeleryDispatcher:
    """Sends keys to the queues; the same key again only after `resend_s`, so that sweeps do not fill them."""

    def __init__(self, app: Celery, *, resend_s: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._app, self._resend_s, self._monotonic = app, resend_s, monotonic
        self._sent: dict[tuple[str, str | int, Priority], float] = {}
        self._away_until_s = 0.0
        self._away = Trouble(log, _AWAY, over="broker reachable again", monotonic=monotonic)

    def read(self, series: SeriesInstanceUid, priority: Priority) -> None:
        """Put the series on queue `read`."""
        self._send(READ, series, priority)

    def deliver(self, delivery_id: int, priority: Priority) -> None:
        """Put the delivery on queue `deliver`."""
        self._send(DELIVER, delivery_id, priority)

    def close(self) -> None:
        """Let the connections go; what was sent stays in the broker."""
        self._app.close()

    def _send(self, task: str, key: str | int, priority: Priority) -> None:
        now = self._monotonic()
        if now < self._away_until_s:
            return
        self._sent = {sent: at for sent, at in self._sent.items() if now - at < self._resend_s}
        if (task, key, priority) in self._sent:
            return
        if _send(self._app, task, key, priority):
            self._sent[task, key, priority] = now
            self._away.ended()
        else:  # nor does it take the others of this sweep
            self._away_until_s = self._monotonic() + _AWAY_S
            self._away.goes_on(task=task, address=_address(self._app))


def _send(app: Celery, task: str, key: str | int, priority: Priority) -> bool:
    """Put a key on the queue of its task; False where the broker does not take it now."""
    try:
        app.send_task(task, args=[key], priority=priority, retry=False)
    except _BROKER_ERRORS:
        return False
    return True


def _address(app: Celery) -> str:
    """Where the broker is, without its password."""
    return str(app.connection_for_write().as_uri())
