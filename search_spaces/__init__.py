"""What may vary and what is wanted: domains, spaces, objectives and the study file."""
