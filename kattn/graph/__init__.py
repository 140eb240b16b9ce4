"""Any functional Keras model, read: its layer calls, outputs and state, and compiled functions and gradients of it."""
