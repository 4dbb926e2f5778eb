"""What a person types and sees on the terminal."""
