"""NIfTI and DICOM to slices as PNG and rows of a CSV. Nothing here imports torch, so that many processes start fast."""
