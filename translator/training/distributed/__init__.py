"""Training one run with several processes: who they are, how they meet, how they stay in step."""
