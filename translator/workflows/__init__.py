"""What the commands need above the rooms: preparing a run, its training session, opening a run."""
