"""What Celery says in a worker, as events of ours and no more of it than helps."""

import logging
from functools import partial

from celery import signals
from celery.utils.log import get_multiprocessing_logger

from dicom_node import logs


def take_over(level: str) -> None:
    """Have no logs but ours in this process and in those it forks: one JSON object a line, on standard error."""
    signals.setup_logging.connect(partial(_set_up, level), weak=False)


def _set_up(level: str, **_: object) -> None:
    logs.set_up(level)
    logging.getLogger("celery").setLevel(level)
    for name in ("celery.app.trace", "celery.worker.strategy"):  # two lines a message; ours say what became of it
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("py.warnings").setLevel(logging.ERROR)  # what Celery thinks of its own future
    pool = get_multiprocessing_logger()
    if pool is not None:  # it is, where nothing can be forked
        pool.propagate = True
        pool.setLevel(logging.ERROR)
