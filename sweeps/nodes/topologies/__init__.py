"""Who trains what, where: one file per topology."""
