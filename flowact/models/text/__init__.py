"""Words: from a behaviour prompt in any language to a fixed number of condition tokens."""
