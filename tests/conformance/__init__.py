"""Training, metrics and initial weights against other packages and tables of their results.

What holds what:

- optimizers with L2, across drops and warm-ups, AdamW, averages: test_optimizers; on which variables the decay and the
  lower rate of the body act: tests/training/test_optimizers, test_fitting
- clipping, schedules, label smoothing, the loss of an attention branch network with its gradient, erasing, mixup, pad
  and crop, top-1, confusion, per class, calibration: test_equal; AFI's fine-tuning formula and the papers' milestones:
  tests/training/test_schedules, test_recipes
- gradients at large gaps, what is compiled and saved: test_logits
- random crops, CutMix, RandAugment's scale: test_augmentation; flips and attributes: tests/data/test_batches,
  tests/evaluation/test_metrics
- ranks among equal scores: test_metrics
- standard deviations of the first weights: test_initial_weights
- moving variance, grouped convolutions without oneDNN: tests/layers/pieces/test_norms, test_grouped
- averaged weights with their statistics: tests/training/test_averaging
- deletion, insertion, selectivity, gates, correlations, area: tests/explain/statistics
- gradients of blocks on every backend and in half precision: tests/support/layer_checks, by each file of tests/layers

`python tests/conformance/tables.py` writes the tables; tests/parity compares with the packages themselves.
"""
