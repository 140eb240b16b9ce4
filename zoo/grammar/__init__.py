"""The language backbones are written in: sites for attention, their placing, stages and heads, convolutions."""
