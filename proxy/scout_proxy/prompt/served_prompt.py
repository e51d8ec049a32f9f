"""A prompt in the format of the table that is served at the moment."""

from scout_proxy.served_table import TableSource


class ServedPrompt:
    """Formats once, and again where the format has changed since.

    Raises:
        ProxyError: As `ServedTable.format_prompt` does.
    """

    def __init__(self, routes: TableSource, prompt: str) -> None:
        self._routes = routes
        self._prompt = prompt
        self._served = routes.served
        self._text = self._served.format_prompt(prompt)

    def format(self) -> str:
        """Return the text for the engine."""
        served = self._routes.served
        if served.formatter is not self._served.formatter:
            self._text = served.format_prompt(self._prompt)
            self._served = served
        return self._text
