"""How a command fails."""


class CommandError(Exception):
    """A command cannot do what it was asked; the message tells the operator why."""
