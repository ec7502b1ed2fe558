"""The figures of a report, as data: what is to be seen, before anybody decides how to draw it."""
