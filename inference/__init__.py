"""Pure reading of MR series: files and headers in, a Reading out. No sockets, no database, no torch."""

__version__ = "0.1.0"
