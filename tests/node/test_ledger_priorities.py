"""What goes first, how often a destination is served, and whose turn it is; in both databases."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine

from dicom_node.ledger.records import LATER, LIVE, Outcome, Priority, ReceivedInstance, ReportRow
from dicom_node.ledger.store import Ledger
from inference.identifiers import SeriesInstanceUid, SopInstanceUid, StudyInstanceUid

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
OLD, NEW = SeriesInstanceUid("1.1"), SeriesInstanceUid("1.2")


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def receive(ledger: Ledger, series: str, priority: Priority, *, number: int = 1, seconds: float = 0) -> None:
    instance = ReceivedInstance(
        study_instance_uid=StudyInstanceUid("1"),
        series_instance_uid=SeriesInstanceUid(series),
        sop_instance_uid=SopInstanceUid(f"{series}.{number}"),
        sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
        priority=priority,
    )
    ledger.record_instance(instance, now=at(seconds), due_at=at(seconds))


def read(ledger: Ledger, series: SeriesInstanceUid, *destinations: str, seconds: float = 0) -> None:
    job = ledger.claim(series, owner="w", reader_digest="r", now=at(seconds), lease_s=60)
    assert job is not None
    report = ReportRow(
        sop_instance_uid=SopInstanceUid(f"2.25.{series}"),
        sop_class_uid="1.2.3",
        series_instance_uid=SeriesInstanceUid("2.25.9"),
    )
    outcome = Outcome(document="{}", contrast=None, score=0, p_value=None, flagged=False, report=report)
    assert ledger.finish(job, replace(outcome, destinations=destinations), now=at(seconds))


def due(ledger: Ledger, seconds: float = 0) -> Mapping[Priority, list[SeriesInstanceUid]]:
    return {priority: ledger.due(at(seconds), 9, priority=priority) for priority in (LIVE, LATER)}


def test_what_can_wait_is_due_apart_from_what_is_live(ledger: Ledger):
    receive(ledger, OLD, LATER)
    receive(ledger, NEW, LIVE, seconds=5)
    assert due(ledger, 5) == {LIVE: [NEW], LATER: [OLD]}
    read(ledger, OLD, "pacs", seconds=5)
    read(ledger, NEW, "pacs", seconds=6)
    first, second = ledger.due_deliveries(at(6), 9, priority=LIVE), ledger.due_deliveries(at(6), 9, priority=LATER)
    assert len(first) == len(second) == 1
    assert ledger.due_deliveries_of(OLD, at(6)) == [(second[0], LATER)]
    assert first > second, "deliveries are as urgent as their series"


def test_one_live_instance_makes_a_series_live_and_an_archived_one_does_not_take_that_back(ledger: Ledger):
    receive(ledger, OLD, LATER)
    receive(ledger, OLD, LIVE, number=2)
    receive(ledger, OLD, LATER, number=3)
    assert due(ledger) == {LIVE: [OLD], LATER: []}


def test_an_archived_instance_of_a_series_that_was_answered_can_wait(ledger: Ledger):
    receive(ledger, NEW, LIVE)
    read(ledger, NEW)
    receive(ledger, NEW, LATER, number=2)
    assert due(ledger) == {LIVE: [], LATER: [NEW]}


def test_what_another_reader_read_can_wait_until_somebody_asks_for_it(ledger: Ledger):
    receive(ledger, NEW, LIVE)
    read(ledger, NEW)
    assert len(ledger.reread("another", now=at(1), limit=9)) == 1
    assert due(ledger, 1) == {LIVE: [], LATER: [NEW]}
    ledger.request(NEW, now=at(2))
    assert due(ledger, 2) == {LIVE: [NEW], LATER: []}


def test_a_series_whose_reader_was_lost_keeps_its_place(ledger: Ledger):
    receive(ledger, OLD, LATER)
    assert ledger.claim(OLD, owner="w", reader_digest="r", now=at(0), lease_s=60) is not None
    assert due(ledger, 60) == {LIVE: [], LATER: [OLD]}


def test_a_destination_gets_no_more_than_its_pace(engine: Engine):
    ledger = Ledger(engine, pace_s={"slow": 2.0})
    for number in range(9):
        receive(ledger, f"1.{number}", LIVE)
        read(ledger, SeriesInstanceUid(f"1.{number}"), "slow", "quick")

    def serve(seconds: float) -> list[str]:
        due = ledger.due_deliveries(at(seconds), 99)
        taken = [ledger.claim_delivery(one, owner="w", now=at(seconds), lease_s=600) for one in due]
        assert None not in taken, "nobody is sent for nothing"
        return [one.destination for one in taken if one is not None]

    assert sorted(serve(0)) == [*["quick"] * 9, "slow"]
    assert serve(1.9) == []
    assert serve(2) == ["slow"]
    # Nothing was asked for in a minute: what may come at once is what fits into the burst, 5 s / 2 s, and one more.
    assert serve(62) == ["slow"] * 3
    assert serve(62.9) == []
    assert serve(63) == ["slow"]


def test_a_claim_beyond_the_pace_is_none_and_what_can_wait_leaves_the_pace_to_what_is_live(engine: Engine):
    ledger = Ledger(engine, pace_s={"slow": 2.0})
    for series, priority in ((OLD, LATER), (NEW, LIVE)):
        receive(ledger, series, priority)
        read(ledger, series, "slow")
    (live,) = ledger.due_deliveries(at(0), 9)
    assert ledger.due_deliveries(at(0), 9, priority=LATER) == []
    assert ledger.claim_delivery(live, owner="w", now=at(0), lease_s=60) is not None
    assert ledger.due_deliveries(at(1), 9, priority=LATER) == []
    assert ledger.claim_delivery(live - 1, owner="w", now=at(1), lease_s=60) is None
    assert ledger.due_deliveries(at(2), 9, priority=LATER) == [live - 1]
    assert ledger.claim_delivery(live - 1, owner="w", now=at(2), lease_s=60) is not None


def test_a_turn_is_kept_by_its_owner_until_it_is_lost_or_given_up(ledger: Ledger):
    assert ledger.take_turn("sweep", owner="a", now=at(0), lease_s=30)
    assert not ledger.take_turn("sweep", owner="b", now=at(29), lease_s=30)
    assert ledger.take_turn("sweep", owner="a", now=at(29), lease_s=30)
    assert ledger.take_turn("other", owner="b", now=at(29), lease_s=30)
    assert ledger.take_turn("sweep", owner="b", now=at(59), lease_s=30), "its owner was lost"
    assert not ledger.take_turn("sweep", owner="a", now=at(60), lease_s=30)
    ledger.give_up_turn("sweep", owner="a", now=at(60))
    assert not ledger.take_turn("sweep", owner="a", now=at(60), lease_s=30), "it was not a's to give up"
    ledger.give_up_turn("sweep", owner="b", now=at(61))
    assert ledger.take_turn("sweep", owner="a", now=at(61), lease_s=30)


def claimed(ledger: Ledger, limit: int, seconds: float = 0, *, priority: Priority = LIVE) -> list[str]:
    """The destinations of what is due, claimed; what is not given out is left out."""
    due = ledger.due_deliveries(at(seconds), limit, priority=priority)
    taken = [ledger.claim_delivery(one, owner="w", now=at(seconds), lease_s=60) for one in due]
    return [one.destination for one in taken if one is not None]


def test_every_destination_gets_its_share_of_what_is_sent(ledger: Ledger):
    for number in range(4):
        receive(ledger, f"1.{number}", LIVE)
        read(ledger, SeriesInstanceUid(f"1.{number}"), *["quick"] * (number == 3), "slow")
    assert claimed(ledger, 2) == ["slow", "quick"], "the fourth report does not wait for the first three"


def test_a_destination_that_is_away_is_tried_by_one_at_a_time(ledger: Ledger):
    for number in range(4):
        receive(ledger, f"1.{number}", LIVE)
        read(ledger, SeriesInstanceUid(f"1.{number}"), "away", "here")
    keys = ledger.due_deliveries(at(0), 99)
    first, _, second = (ledger.claim_delivery(key, owner="w", now=at(0), lease_s=60) for key in keys[:3])
    assert first is not None
    assert second is not None
    assert first.destination == second.destination == "away", "nobody knows it yet"
    assert ledger.delivery_failed(first, "no answer", now=at(1), retry_at=at(9))
    assert ledger.delivery_failed(second, "no answer", now=at(1), retry_at=at(9))

    assert claimed(ledger, 99, 1) == ["here", "away", "here", "here"]
    assert claimed(ledger, 99, 10) == []
    assert ledger.claim_delivery(keys[0], owner="w", now=at(10), lease_s=60) is None, "by whatever queue it came"
    assert ledger.due_deliveries(at(61), 1) != []
    probe = ledger.claim_delivery(keys[0], owner="w", now=at(61), lease_s=60)
    assert probe is not None
    assert ledger.renew_delivery(probe, now=at(120), lease_s=60)
    assert claimed(ledger, 99, 130) == ["here"] * 4
    assert ledger.delivered(probe, now=at(131))
    assert claimed(ledger, 99, 131) == ["away"] * 3, "it is back"


def test_a_probe_whose_sender_is_lost_or_that_is_refused_is_followed_by_another(ledger: Ledger):
    for number in range(3):
        receive(ledger, f"1.{number}", LATER if number else LIVE)
        read(ledger, SeriesInstanceUid(f"1.{number}"), "away")
    (live,) = ledger.due_deliveries(at(0), 9)
    failed = ledger.claim_delivery(live, owner="w", now=at(0), lease_s=60)
    assert failed is not None
    assert ledger.delivery_failed(failed, "no answer", now=at(1), retry_at=at(5))
    assert ledger.due_deliveries(at(5), 9, priority=LATER) == [], "what can wait leaves the probe to what is live"
    assert ledger.due_deliveries(at(4), 9) == []
    (lost,) = ledger.due_deliveries(at(4), 9, priority=LATER)
    assert ledger.claim_delivery(lost, owner="w", now=at(4), lease_s=60) is not None
    assert ledger.due_deliveries(at(63), 9) == []
    assert ledger.due_deliveries(at(64), 9) == [live]
    refused = ledger.claim_delivery(live, owner="w", now=at(64), lease_s=60)
    assert refused is not None
    assert ledger.delivery_failed(refused, "refused", now=at(65), retry_at=None)
    assert len(ledger.due_deliveries(at(65), 9, priority=LATER)) == 1
