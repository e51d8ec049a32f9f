"""A plan in the words of other programs: files for Compose, a unit for systemd. Pure but for `write`."""
