"""What leaves a node, and how well an attacker tells from it which samples it was trained on."""
