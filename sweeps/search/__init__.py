"""Which configuration runs next, and which trial stops early."""
