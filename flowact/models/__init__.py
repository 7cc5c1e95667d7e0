"""Networks: one folder each, config beside model."""
