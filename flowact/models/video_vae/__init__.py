"""The video codec: pixels to latents and back, causal in time, aided by the portrait."""
