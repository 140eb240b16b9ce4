"""The model as it is exported, and images to calibrate and compare with."""
