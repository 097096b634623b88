"""State over facts: dialogs, reports, calls, rollups. Clock-fed, no I/O."""
