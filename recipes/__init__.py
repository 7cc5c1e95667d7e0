"""Recipes: functions that return what to train, in story order. Nothing imports them."""
