"""Pages, pictures, tables and sentences that a comparison is told in."""
