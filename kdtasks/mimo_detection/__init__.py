"""MIMO detection with inherited layers (learngene)."""
