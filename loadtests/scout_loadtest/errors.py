"""What is wrong with what a load test was given."""


class InputError(Exception):
    """A setting or a file that cannot be used.

    Args:
        message: What is wrong, with which value.
        next_step: The one thing to do now.
    """

    def __init__(self, message: str, next_step: str) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
