"""Training, metrics and initial weights against other packages and tables of their results."""
