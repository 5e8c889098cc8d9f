"""The scripts of the distributed-gummy skill."""
