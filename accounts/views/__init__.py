"""The pages of people, and of teams as groups of people."""
