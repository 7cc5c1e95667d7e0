"""The mathematics of flow matching: pure functions on tensors."""
