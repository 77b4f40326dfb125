"""How good predictions are: matching, average precision, curves, confusion, calibration, and what explains failure."""
