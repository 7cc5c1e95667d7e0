"""What the next chunk may see."""
