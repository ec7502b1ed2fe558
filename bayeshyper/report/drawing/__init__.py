"""Two renderers of the same figures, SVG and PNG, and the colours that they share."""
