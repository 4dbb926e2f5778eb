"""What the suite is timed beside."""
