"""A living person inside other people's voice agents: thin adapters, each behind its own extra."""
