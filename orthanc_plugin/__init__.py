"""What runs inside Orthanc: nothing here imports the rest of mrclip."""
