"""pynetdicom's own storage SCP, writing the bytes as they come and syncing nothing: `stock_scp.py FOLDER PORT`."""

import sys
from pathlib import Path

from pynetdicom import AE, AllStoragePresentationContexts, _config, evt


def main(folder: Path, port: int) -> None:
    """Receive until killed."""

    def store(event: evt.Event) -> int:
        (folder / f"{event.request.AffectedSOPInstanceUID}.dcm").write_bytes(event.encoded_dataset())
        return 0x0000

    _config.LOG_HANDLER_LEVEL = "none"
    entity = AE(ae_title="STOCK")
    entity.supported_contexts = AllStoragePresentationContexts
    entity.maximum_pdu_size = 131072
    entity.start_server(("127.0.0.1", port), evt_handlers=[(evt.EVT_C_STORE, store)])


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
