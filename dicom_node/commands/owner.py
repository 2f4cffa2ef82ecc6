"""Whose node it is: what root makes in its folders, the user that runs it cannot use."""

import os
import pwd

import click

from dicom_node.settings import Settings


def refuse_root(settings: Settings) -> None:
    """A usage error where root is about to write for a node of another user."""
    if os.geteuid() != 0:
        return
    spool = settings.spool.path.absolute()
    # The node itself made the first of these; the others may be anybody's before it ran.
    folder = next((one for one in (spool / "instances", spool, spool.parent) if one.exists()), None)
    if folder is None or (found := folder.stat()).st_uid == 0:
        return
    try:
        user = pwd.getpwuid(found.st_uid).pw_name
        change = f"runuser -u {user} --"
    except KeyError:  # as with a volume of a container
        user = f"user {found.st_uid}"
        change = f"setpriv --reuid={found.st_uid} --regid={found.st_gid} --clear-groups --"
    raise click.UsageError(
        f"{folder} belongs to {user}, whose node could not use what root makes; run as that user: "
        f"{change} {click.get_current_context().command_path} …"
    )
