"""Profiles: what to serve, with which engine, on what hardware, behind which API; from their files to messages."""
