"""The first tables: series, their instances, readings and deliveries.

Revision: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Go to this revision."""
    op.create_table(
        "series",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("study_uid", sa.String(64), nullable=False),
        sa.Column("series_uid", sa.String(64), nullable=False),
        sa.Column("modality", sa.String(16)),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("instances", sa.Integer(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger()),
        sa.Column("lease_owner", sa.String(128)),
        sa.Column("lease_until", sa.BigInteger()),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("reader_digest", sa.String(64)),
        sa.Column("reading_id", sa.BigInteger()),
        sa.Column("contrast", sa.String(32)),
        sa.Column("score", sa.Float()),
        sa.Column("flagged", sa.Boolean()),
        sa.PrimaryKeyConstraint("id", name="pk_series"),
        sa.UniqueConstraint("series_uid", name="uq_series_series_uid"),
        sqlite_autoincrement=True,
    )
    for name, columns in {
        "ix_series_state_series_due_at": ["state", "due_at"],
        "ix_series_state_series_lease_until": ["state", "lease_until"],
        "ix_series_state_series_id": ["state", "id"],
        "ix_series_flagged_series_id": ["flagged", "id"],
    }.items():
        op.create_index(name, "series", columns)
    op.create_table(
        "instances",
        sa.Column("series_id", _KEY, nullable=False),
        sa.Column("sop_uid", sa.String(64), nullable=False),
        sa.Column("sop_class_uid", sa.String(64), nullable=False),
        sa.Column("calling_aet", sa.String(16)),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name="fk_instances_series_id"),
        sa.PrimaryKeyConstraint("series_id", "sop_uid", name="pk_instances"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "readings",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("series_id", _KEY, nullable=False),
        sa.Column("instances_digest", sa.String(64), nullable=False),
        sa.Column("reader_digest", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("predecessor_uid", sa.String(64)),
        sa.Column("finished_at", sa.BigInteger()),
        sa.Column("document", sa.Text()),
        sa.Column("contrast", sa.String(32)),
        sa.Column("score", sa.Float()),
        sa.Column("p_value", sa.Float()),
        sa.Column("flagged", sa.Boolean()),
        sa.Column("reason", sa.Text()),
        sa.Column("report_uid", sa.String(64)),
        sa.Column("report_class_uid", sa.String(64)),
        sa.Column("report_series_uid", sa.String(64)),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name="fk_readings_series_id"),
        sa.PrimaryKeyConstraint("id", name="pk_readings"),
        sa.UniqueConstraint(
            "series_id",
            "instances_digest",
            "reader_digest",
            name="uq_readings_series_id_instances_digest_reader_digest",
        ),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("reading_id", _KEY, nullable=False),
        sa.Column("destination", sa.String(128), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger()),
        sa.Column("lease_owner", sa.String(128)),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.ForeignKeyConstraint(["reading_id"], ["readings.id"], name="fk_deliveries_reading_id"),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
        sa.UniqueConstraint("reading_id", "destination", name="uq_deliveries_reading_id_destination"),
    )
    op.create_index("ix_deliveries_state_deliveries_next_at", "deliveries", ["state", "next_at"])


def downgrade() -> None:
    """Go back to an empty database."""
    for table in ("deliveries", "readings", "instances", "series"):
        op.drop_table(table)
