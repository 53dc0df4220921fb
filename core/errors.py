"""The one exception that a person is meant to read."""


class UserError(Exception):
    """Bad input or a bad surrounding: one line that names the field, the value, what is allowed and the remedy.

    The command line prints it and exits with 2; the studio shows it at the field.
    """

    def __init__(self, message: str, field: str | None = None):
        super().__init__(message)
        self.field = field
