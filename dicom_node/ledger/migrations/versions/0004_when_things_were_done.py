"""When readings were finished and reports accepted, to be asked by time.

Revision: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go to this revision; nobody knows when earlier deliveries were made."""
    op.add_column("deliveries", sa.Column("delivered_at", sa.BigInteger()))
    op.create_index("ix_deliveries_delivered_at", "deliveries", ["delivered_at"])
    op.create_index("ix_readings_finished_at", "readings", ["finished_at"])


def downgrade() -> None:
    """Go back to not knowing."""
    op.drop_index("ix_readings_finished_at", "readings")
    op.drop_index("ix_deliveries_delivered_at", "deliveries")
    op.drop_column("deliveries", "delivered_at")
