"""The commands of `mrclip`, one module each; `dicom_node.cli` lists them."""
