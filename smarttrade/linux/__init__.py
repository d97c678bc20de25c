"""What the operating system must be asked for, or told."""
