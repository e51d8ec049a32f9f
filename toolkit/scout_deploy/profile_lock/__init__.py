"""A profile's lock: the image, the commit and the settings that were found to work, kept beside the profile."""
