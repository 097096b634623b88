"""From the scoped reader's tables to the frozen views that pages draw."""
