"""The words around the tables of the conformance statement, in the order of PS3.2."""

# ruff: noqa: E501 - lines of a page

from typing import Final

PAGE: Final = """# DICOM conformance statement

<!-- Made by `python -m dicom_node.conformance`; change the code or that module, not this page. -->

Follows the order of DICOM PS3.2. Where this page and the node disagree, the node is at fault: every table here is made from the tables that the code
runs on, and a test compares them. *mrclip is for quality control of metadata and for research; it is not a medical device.*

## 1 Overview

mrclip receives MR series, compares their headers with what their pixels show, and sends a Structured Report on each. It keeps what it receives as
it came and never changes it. It is no archive, and offers neither query nor retrieval; it can pull from an archive.

### Network services

{services}

### Media services

None. A folder as destination receives reports as files of PS3.10 (`<SOP Instance UID>.dcm`), without DICOMDIR.

## 2 Networking

### 2.1 Application entity

One application entity, on one port, does everything; its title is `scp.ae_title`.

| | |
|---|---|
| Application context name | 1.2.840.10008.3.1.1.1 |
| Implementation class UID | {implementation} |
| Implementation version name | {version} |
| Asynchronous operations | not negotiated; one outstanding operation |
| SOP class extended negotiation | none |
| Role selection | for Storage Commitment, and for C-GET |
| User identity negotiation | none |

### 2.2 Association acceptance

An association is rejected where its called AE title is not ours, where its calling AE title is not among `scp.calling_ae_titles` (empty: everybody may
send) or comes from an address that `scp.calling_hosts` does not name for it, and where there are too many associations (transient, local limit exceeded). A connection over the limit for its address is closed; one that has
not asked for an association gives way first. A PDU longer than `scp.max_pdu_bytes` (a request: 512 KiB) is answered with A-ABORT.

{accepted}

Compressed pixel data are kept as they came. Deflated transfer syntaxes are not accepted: their size is not known before they are unfolded. Of several
transfer syntaxes in one presentation context the first of the list above that was proposed is chosen.

### 2.3 Storage as SCP (PS3.4 Annex B)

Level 2 (full), no coercion, no element is discarded. The same data set under the same SOP Instance UID is stored once and answered with
success; another data set under a known SOP Instance UID is kept aside, and the first one stays the one that is read. Sequences nested deeper than {deepest} levels
are not understood. What is refused with A900 or C000 is kept in quarantine with the reason and can be taken in later.

{statuses}

How long instances are kept is up to the site: by default for good.

### 2.4 Storage Commitment as SCP (PS3.4 Annex J, Push Model)

{commitment_statuses}

An instance is committed to if it lies whole and synced under its name. The report (N-EVENT-REPORT) comes on the association of the request if that stays open
and quiet for half a second, else on a new association to the peer of that AE title in `commitment.peers`, on which we propose the SCP role. A report
that is not taken is tried again, with growing pauses. Requests survive a restart; a transaction that is asked for again while it waits is one transaction, and after its report it
is reported again. Storage is not permanent where the site removes series: the site decides for how long.

{failure_reasons}

### 2.5 Association initiation

{sent}

Reports are sent to every destination in the settings, one association for each object; Secondary Capture and Key Object Selection go with them by setting. Associations are opened when there is something to send and released after it. A failure
that may pass (no connection, A7xx, 0110, 0213) is tried again with growing pauses; any other ends the delivery with its reason, until somebody asks for it again.

A destination with `commitment: true` is asked to commit to each report (N-ACTION, on an association of its own). Its N-EVENT-REPORT is taken on our port, with or without role
selection. Until it came the report does not count as delivered. Without an answer in time it is asked again with a new transaction; an answer to an earlier one counts too.

`mrclip backfill --from dicom://…` asks an archive (C-FIND at levels STUDY, SERIES and IMAGE by StudyDate, ModalitiesInStudy and Modality) and retrieves instance by instance: by C-GET with each MR storage
class in each of the transfer syntaxes above and the SCP role, or by C-MOVE to a port of its own.

### 2.6 Configuration

{settings}

{commitment_settings}

`configs/node.yaml` shows every setting with its meaning.

## 3 Reports

| | |
|---|---|
| SOP class | {root} |
| Root template | TID 1500 Measurement Report; observation context TID 1001, 1002 (device) |
| Each stack of the series | one group of TID 1501 with its source images, TID 4019 algorithm identification |
| Series | one for all reports on a source series, in the study of the source, SeriesDescription `{series}` |
| Completion, verification, preliminary | COMPLETE, UNVERIFIED, PRELIMINARY |
| Dates and times | of the first reading of these instances, in the images' Timezone Offset From UTC (0008,0201); without one in `report.timezone`, by default UTC, which (0008,0201) then does not say and Contribution DateTime (0018,A002) does. `mrclip read --sr`: in the zone of its machine |
| Revision | a report that supersedes another names it in Predecessor Documents Sequence (0040,A360) |
| Equipment | Contributing Equipment Sequence (0018,A001), one Device UID for each version of model, calibration and rules |

SOP Instance UIDs derive from the series, its instances and the reader: the same report is the same object, however often it is made. They are UUIDs under 2.25
(PS3.5 B.2). Codes of ours have the scheme designator `{scheme}`, declared in Coding Scheme Identification Sequence (0008,0110).

{concepts}

### Values of contrast

{contrasts}

## 4 Character sets

Instances are kept in whatever Specific Character Set (0008,0005) they have. Reports are written in `{character_set}`, with the patient's texts converted to it.

## 5 Security

Secure transport connection profile: BCP 195 (PS3.15 B.12), TLS 1.2 or newer, by `scp.tls` for what peers open and `destinations[].tls` and `commitment.peers[].tls` for what we open, with certificates of peers
where `client_ca` is given. With TLS 1.2 these suites, in this order; TLS 1.3 has its own:

{suites}

{tls_settings}

Without TLS peers are told apart by AE title and address, which is no authentication: keep the port inside a trusted network ([TLS](docs/security.md)). No path on disk is built from what a peer sends. Logs hold UIDs, counts and reasons, and nothing of the patient. Reports carry the
patient's identification as the source has it; nothing is de-identified.

## 6 Private attributes and SOP classes

None.
"""
