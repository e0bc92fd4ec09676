"""Messages between nodes: links, quantisation, encoding and traffic counts."""
