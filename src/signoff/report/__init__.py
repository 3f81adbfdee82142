"""Reports: pure functions of the record, and the files they are written to.

Import the module that is needed, when it is needed: `record_file` costs nothing but msgspec, while
`html` loads Jinja2 and `terminal` loads rich.
"""
