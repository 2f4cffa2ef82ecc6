"""What leaves the node about a series: the Structured Report and the page for a person.

`sr` needs highdicom, which takes a second to import; `html` does not, so nothing is imported here.
"""
