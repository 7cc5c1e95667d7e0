"""The denoising loop, which exists once, and the ways to make training samples with it."""
