"""The pages: each reads through a scoped reader and shows its own reason when it has nothing to show."""
