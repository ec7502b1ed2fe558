"""What a fitted guide is asked: its density, an audit, importance weights, ArviZ, calibration."""
