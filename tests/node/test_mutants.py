"""Damaged data sets and PDUs: each is stored, refused or quarantined with its reason, and the node goes on."""

from pathlib import Path

import pytest
from pydicom import dcmread

from dicom_node.receive.part10 import file_meta, identify
from mutants import CONTEXTS, DAMAGES, original, renumbered
from survival import survive


@pytest.mark.parametrize("context", range(len(CONTEXTS)))
def test_what_is_damaged_was_whole_before(context: int, tmp_path: Path) -> None:
    one = renumbered(original(context), 41)
    sop_class, syntax = CONTEXTS[context]
    identity = identify(one.encoded, syntax)
    assert (identity.sop_instance_uid, identity.sop_class_uid) == (one.sop_instance_uid, sop_class)
    assert identity.series_instance_uid.endswith("2")  # of twenty each
    meta = file_meta(
        sop_class_uid=sop_class, sop_instance_uid=one.sop_instance_uid, transfer_syntax_uid=syntax, sending_aet=None
    )
    path = tmp_path / "whole.dcm"
    path.write_bytes(meta + one.encoded)
    assert len(dcmread(path)) == len(one.elements)


def test_mutants_harm_nobody(tmp_path: Path) -> None:
    survival = survive(tmp_path, data_sets=150, pdus=75, seed=8)
    survival.check()
    assert survival.toll.damages.keys() == DAMAGES.keys()
    assert survival.toll.statuses["0000"] > 0
    assert survival.reasons
