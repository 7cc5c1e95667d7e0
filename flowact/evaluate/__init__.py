"""Judges: measures that no training has used."""
