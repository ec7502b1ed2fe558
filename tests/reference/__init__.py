"""Numbers and arithmetic that the library is held against."""
