"""Plain sentences, read by rules as commands."""
