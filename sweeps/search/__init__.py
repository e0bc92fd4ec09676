"""The search: proposes configurations and stops trials early."""
