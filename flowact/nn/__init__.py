"""Layers: attention, RoPE, modulation, MLP."""
