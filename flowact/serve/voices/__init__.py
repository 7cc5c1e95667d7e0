"""What the avatar says with and understands by: speech, hearing, language, and the conversation that joins them."""
