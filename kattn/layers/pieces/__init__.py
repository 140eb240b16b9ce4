"""What the mechanisms are built of: convolutions, normalisation, softmax over positions, resizing, portable forms."""
