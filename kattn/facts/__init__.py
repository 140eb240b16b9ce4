"""What a model takes and gives: stated, known from what travelled with it, or measured; each fact with its origin."""
