"""Several tasks in one network: what each trial runs of each, and what they share."""
