"""Alembic's entry point: runs the revisions on the connection that `migrate` hands over, in its transaction."""

from alembic import context

from dicom_node.ledger.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite changes a table by copying it
)
context.run_migrations()
