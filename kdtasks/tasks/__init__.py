"""Tasks: a scenario, its models, methods and metrics put together."""
