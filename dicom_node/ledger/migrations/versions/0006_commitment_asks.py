"""Destinations are asked to commit to the reports they took.

Revision: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Go to this revision."""
    op.add_column("deliveries", sa.Column("stored", sa.Boolean()))
    op.add_column("deliveries", sa.Column("asks", sa.Integer(), nullable=False, server_default="0"))
    op.create_table(
        "commitment_asks",
        sa.Column("transaction_uid", sa.String(64), nullable=False),
        sa.Column("delivery_id", _KEY, nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["delivery_id"], ["deliveries.id"], name="fk_commitment_asks_delivery_id"),
        sa.PrimaryKeyConstraint("transaction_uid", name="pk_commitment_asks"),
    )
    op.create_index("ix_commitment_asks_delivery_id", "commitment_asks", ["delivery_id"])


def downgrade() -> None:
    """Go back to 0005."""
    op.drop_table("commitment_asks")
    op.drop_column("deliveries", "asks")
    op.drop_column("deliveries", "stored")
