"""The ledger: an index over the spool that says what is due, who is reading it and what became of it."""
