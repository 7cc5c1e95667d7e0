"""Makes labelled people: characters, motion, speech, pictures."""
