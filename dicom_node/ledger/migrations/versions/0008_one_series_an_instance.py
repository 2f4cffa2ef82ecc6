"""An instance belongs to one series: where two have one of its UID, the first keeps it.

The files of the others stay in the spool; nothing reads them any more.

Revision: 0008
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_LATER = """
SELECT 1 FROM instances AS first WHERE first.sop_uid = instances.sop_uid AND (first.received_at < instances.received_at
  OR (first.received_at = instances.received_at AND first.series_id < instances.series_id))
"""
_COUNT = """
UPDATE series SET instances = instances -
  (SELECT COUNT(*) FROM instances WHERE series_id = series.id AND EXISTS ({later}))
WHERE id IN (SELECT series_id FROM instances WHERE EXISTS ({later}))
"""
_DELETE = "DELETE FROM instances WHERE EXISTS ({later})"
_EMPTY = """
DELETE FROM series WHERE instances = 0 AND state = 'receiving' AND id NOT IN (SELECT series_id FROM readings)
"""
_READ_ALREADY = "UPDATE series SET state = 'answered', due_at = NULL WHERE instances = 0 AND state = 'receiving'"


def upgrade() -> None:
    """Go to this revision."""
    op.execute(_COUNT.format(later=_LATER))
    op.execute(_DELETE.format(later=_LATER))
    op.execute(_EMPTY)
    op.execute(_READ_ALREADY)
    op.drop_index("ix_instances_sop_uid", table_name="instances")
    op.create_index("ix_instances_sop_uid", "instances", ["sop_uid"], unique=True)


def downgrade() -> None:
    """Go back to 0007."""
    op.drop_index("ix_instances_sop_uid", table_name="instances")
    op.create_index("ix_instances_sop_uid", "instances", ["sop_uid"])
