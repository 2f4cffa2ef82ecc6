"""What people say to readings, and what worklists and statistics go by.

Revision: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_INDICES = {
    "ix_series_status_series_id": ["status", "id"],
    "ix_series_scanner_series_id": ["scanner", "id"],
    "ix_series_first_at_series_id": ["first_at", "id"],
}


def upgrade() -> None:
    """Go to this revision."""
    op.add_column("series", sa.Column("status", sa.String(16)))
    op.add_column("series", sa.Column("scanner", sa.String(128)))
    op.add_column("series", sa.Column("gate_distance", sa.Float()))
    op.add_column("series", sa.Column("reviewed", sa.Boolean()))
    for name, columns in _INDICES.items():
        op.create_index(name, "series", columns)
    op.create_table(
        "reviews",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("series_id", _KEY, nullable=False),
        sa.Column("instances_digest", sa.String(64), nullable=False),
        sa.Column("reader_digest", sa.String(64), nullable=False),
        sa.Column("stack", sa.Integer(), nullable=False),
        sa.Column("finding", sa.Integer()),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("correction", sa.String(64)),
        sa.Column("user_name", sa.String(64), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name="fk_reviews_series_id"),
        sa.PrimaryKeyConstraint("id", name="pk_reviews"),
        sa.UniqueConstraint("digest", name="uq_reviews_digest"),
    )
    op.create_index("ix_reviews_series_id", "reviews", ["series_id"])


def downgrade() -> None:
    """Go back to the first tables."""
    op.drop_table("reviews")
    for name in _INDICES:
        op.drop_index(name, "series")
    for column in ("reviewed", "gate_distance", "scanner", "status"):
        op.drop_column("series", column)
