"""Model to faster model."""
