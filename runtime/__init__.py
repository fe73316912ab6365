"""What agent and collector both need to run: clocks, settings files, supervised tasks, fakes."""
