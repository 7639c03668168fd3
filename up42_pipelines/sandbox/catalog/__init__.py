"""What is on sale, and finding it."""
