"""Showing what was seen of elections: to people as a table, to programs as JSON, once or as it changes."""
