"""Ways to give a script to a host. One small protocol (`base`), several carriers."""
