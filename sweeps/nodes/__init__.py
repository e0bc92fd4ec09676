"""The network in which students are distilled: a server, edge nodes, links and messages."""
