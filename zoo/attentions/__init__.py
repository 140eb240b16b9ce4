"""The attention mechanisms as the zoo places them in networks."""
