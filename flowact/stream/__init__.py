"""Sessions: from audio and a portrait to clips, chunk by chunk."""
