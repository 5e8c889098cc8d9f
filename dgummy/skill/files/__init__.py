"""What `skill.install` puts into a folder. `SKILL.md` gets the version written in."""
