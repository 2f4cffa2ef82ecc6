"""Who was asked for a commitment answers; of what was asked before, nobody knows it, so whoever comes first does.

Revision: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go to this revision."""
    op.add_column("commitments", sa.Column("spool_id", sa.String(32)))


def downgrade() -> None:
    """Go back to 0009."""
    op.drop_column("commitments", "spool_id")
