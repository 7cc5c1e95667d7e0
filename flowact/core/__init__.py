"""Words everyone shares: types, clock, errors. No models, no I/O."""
