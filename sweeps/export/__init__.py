"""Students written as files and registered as models."""
