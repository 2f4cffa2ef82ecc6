"""A private PostgreSQL cluster on a free port, gone with everything in it when the block ends."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from peers import free_port, program, running


@contextmanager
def postgres() -> Iterator[str]:
    """URL of its database; root's server is run by nobody, since it refuses to be root's."""
    user: list[str] = []
    with TemporaryDirectory(prefix="mrclip-postgres-") as name:  # pytest's own folders are closed to other users
        folder, port = Path(name), free_port()
        if os.geteuid() == 0:
            user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
            shutil.chown(folder, "nobody", "nogroup")
        data = folder / "data"
        initdb = [*user, program("initdb"), "-D", str(data), "-U", "mrclip", "--auth=trust", "--no-sync", "-E", "UTF8"]
        made = subprocess.run(initdb, check=False, capture_output=True, cwd=folder)
        assert made.returncode == 0, made.stderr
        server = [*user, program("postgres"), "-D", str(data), "-k", str(folder), "-h", "127.0.0.1", "-p", str(port)]

        def ready() -> bool:
            probe = [program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
            return subprocess.run(probe, check=False).returncode == 0

        with running([*server, "-c", "fsync=off"], log=folder / "postgres.log", ready=ready):
            yield f"postgresql://mrclip@127.0.0.1:{port}/postgres"
