"""How good answers are: SQuAD's metrics, and the fit of calibrations."""
