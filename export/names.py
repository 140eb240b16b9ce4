"""Names of the tensors of every artefact."""

INPUT = "image"
PREDICTIONS = "predictions"  # beside it, in models that have them: attention_predictions, attention_map
