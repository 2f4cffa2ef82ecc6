"""Who asked whether what they sent is safe, and instances by their UID alone.

Revision: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Go to this revision."""
    op.create_index("ix_instances_sop_uid", "instances", ["sop_uid"])
    op.create_table(
        "commitments",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("calling_aet", sa.String(16), nullable=False),
        sa.Column("transaction_uid", sa.String(64), nullable=False),
        sa.Column("refs", sa.Text(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger()),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_commitments"),
        sa.UniqueConstraint("calling_aet", "transaction_uid", name="uq_commitments_calling_aet_transaction_uid"),
    )
    op.create_index("ix_commitments_state_commitments_next_at", "commitments", ["state", "next_at"])


def downgrade() -> None:
    """Go back to 0004."""
    op.drop_table("commitments")
    op.drop_index("ix_instances_sop_uid", "instances")
