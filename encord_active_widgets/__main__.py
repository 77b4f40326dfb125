"""`python -m encord_active_widgets`: the command line, where its script is not on the path."""

from .cli import app

app()
