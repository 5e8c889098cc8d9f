"""What this repository needs for itself. Not part of what is installed."""
