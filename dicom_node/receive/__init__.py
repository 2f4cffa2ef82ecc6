"""From an association to bytes that are safe in the spool."""
