"""Hearing: from 16 kHz samples to one feature vector per video frame."""
