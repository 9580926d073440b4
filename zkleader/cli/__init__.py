"""The command line: the only package that imports click.  Options become a frozen Config, outcomes exit statuses."""
