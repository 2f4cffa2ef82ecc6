"""The ledger as one object: an index over the spool, in SQLite or PostgreSQL.

Every method is one transaction, every time an argument. Methods raise `LedgerUnavailableError` where the database does
not answer; nothing is half done then, and doing it again is harmless.
"""

from dicom_node.ledger.arrivals import Arrivals
from dicom_node.ledger.commitments import Commitments
from dicom_node.ledger.deliveries import Deliveries
from dicom_node.ledger.holdings import Holdings
from dicom_node.ledger.progress import Progress
from dicom_node.ledger.queries import Queries
from dicom_node.ledger.readings import Readings
from dicom_node.ledger.removals import Removals
from dicom_node.ledger.reviews import Reviews
from dicom_node.ledger.statistics import Statistics
from dicom_node.ledger.turns import Turns


class Ledger(
    Arrivals, Readings, Deliveries, Reviews, Queries, Statistics, Progress, Turns, Commitments, Removals, Holdings
):
    """Which instances arrived, what is due, who reads it, what became of it and where that still has to go."""
