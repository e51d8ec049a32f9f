"""Requests of whoever measures new engines, before anybody else's reach them."""
