"""What the headers of a reading's stacks claim is kept; of readings made before, nobody knows it any more.

Revision: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go to this revision."""
    op.add_column("readings", sa.Column("claims", sa.Text()))


def downgrade() -> None:
    """Go back to 0008."""
    op.drop_column("readings", "claims")
