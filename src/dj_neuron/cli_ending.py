"""What a signal does to a command."""


class EndedError(SystemExit):
    """A signal asked the command to end."""


def end(number: int, _: object) -> None:
    """Handle a signal by ending the command with the code that shells expect."""
    # nothing is printed here: the signal may have come in the middle of printing
    raise EndedError(128 + number)
