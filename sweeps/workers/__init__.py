"""Work in other processes: jobs, trials and Ray's start."""
