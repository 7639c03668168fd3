"""What the processes make of their inputs: toy algorithms on real pixels."""
