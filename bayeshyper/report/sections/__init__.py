"""The sections of a report: each asks one question, answers it in sentences, and shows the evidence."""
