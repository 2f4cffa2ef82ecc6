"""Series are counted by scanner and week as they are read.

Revision: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# Weeks begin on Mondays; times are microseconds since a Thursday.
_COUNT = """
INSERT INTO scanner_weeks (scanner, week, series, flagged, abstained, measured, distance_sum)
SELECT scanner, (first_at - 345600000000) / 604800000000, COUNT(*),
  SUM(CASE WHEN flagged THEN 1 ELSE 0 END), SUM(CASE WHEN status = 'abstained' THEN 1 ELSE 0 END),
  COUNT(gate_distance), COALESCE(SUM(gate_distance), 0)
FROM series WHERE scanner IS NOT NULL GROUP BY 1, 2
"""


def upgrade() -> None:
    """Go to this revision."""
    op.create_table(
        "scanner_weeks",
        sa.Column("scanner", sa.String(128), nullable=False),
        sa.Column("week", sa.Integer(), nullable=False),
        sa.Column("series", sa.BigInteger(), nullable=False),
        sa.Column("flagged", sa.BigInteger(), nullable=False),
        sa.Column("abstained", sa.BigInteger(), nullable=False),
        sa.Column("measured", sa.BigInteger(), nullable=False),
        sa.Column("distance_sum", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("scanner", "week", name="pk_scanner_weeks"),
    )
    op.execute(_COUNT)


def downgrade() -> None:
    """Go back to 0006."""
    op.drop_table("scanner_weeks")
