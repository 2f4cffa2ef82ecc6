"""What goes first, and whose turn it is.

Revision: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_INDICES = {
    "ix_series_state_series_priority_series_due_at": ("series", ["state", "priority", "due_at"]),
    "ix_deliveries_state_deliveries_priority_deliveries_next_at": ("deliveries", ["state", "priority", "next_at"]),
}


def upgrade() -> None:
    """Go to this revision; everything that is there is live."""
    for table in ("series", "deliveries"):
        op.add_column(table, sa.Column("priority", sa.Integer(), nullable=False, server_default="0"))
    for name, (table, columns) in _INDICES.items():
        op.create_index(name, table, columns)
    op.create_table(
        "turns",
        sa.Column("name", sa.String(160), nullable=False),
        sa.Column("owner", sa.String(128)),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_turns"),
    )
    op.create_index("ix_turns_until", "turns", ["until"])


def downgrade() -> None:
    """Go back to one line for everybody."""
    op.drop_table("turns")
    for name, (table, _) in _INDICES.items():
        op.drop_index(name, table)
    for table in ("series", "deliveries"):
        op.drop_column(table, "priority")
