"""Every failure of the engine.

    EngineError                      ends the process, with an exit code
      ArgumentError        (2)
      ModelFileError       (3)
      PortInUseError       (4)
      SystemLibraryError   (5)
      RuntimeFailedError   (1)       the model is sound, llama.cpp gave up all the same
    RequestError                     answers one request with TGI's JSON error body
      ValidationError                422 validation
      OverloadedError                429 overloaded
      GenerationError                424 generation
      IncompleteGenerationError      500 incomplete_generation
      IncompleteStreamError          500 incomplete_generation_stream
      TemplateError                  422 template_error
      ToolError                      422 tool_error
      BatchSizeError                 422 batch size exceeded
      SuffixError                    422 suffix not supported
    BodyError                        answers one request with plain text, as TGI's web framework does

Statuses, error types and wordings: TGI router/src/infer/mod.rs, router/src/server.rs and router/src/validation.rs.
"""

from typing import ClassVar


class EngineError(Exception):
    """A failure that ends the engine: the message says what, with which value, why, and the next step."""

    exit_code: ClassVar[int] = 1


class ArgumentError(EngineError):
    """An argument is out of its range."""

    exit_code: ClassVar[int] = 2


class ModelFileError(EngineError):
    """The model file is missing, unreadable, not GGUF, cut off, or refused by llama.cpp."""

    exit_code: ClassVar[int] = 3


class PortInUseError(EngineError):
    """The address cannot be bound."""

    exit_code: ClassVar[int] = 4


class SystemLibraryError(EngineError):
    """A library or a CPU feature that llama.cpp needs is missing."""

    exit_code: ClassVar[int] = 5


class RuntimeFailedError(EngineError):
    """llama.cpp does not answer as it should."""


class RequestError(Exception):
    """A request that is answered with `{"error": ..., "error_type": ...}`."""

    status: ClassVar[int] = 500
    error_type: ClassVar[str]
    prefix: ClassVar[str] = ""

    def __init__(self, message: str) -> None:
        super().__init__(f"{self.prefix}{message}")


class ValidationError(RequestError):
    """The request breaks a rule, or asks for what this engine cannot honour."""

    status: ClassVar[int] = 422
    error_type: ClassVar[str] = "validation"
    prefix: ClassVar[str] = "Input validation error: "


class OverloadedError(RequestError):
    """As many requests as allowed are in flight."""

    status: ClassVar[int] = 429
    error_type: ClassVar[str] = "overloaded"

    def __init__(self) -> None:
        super().__init__("Model is overloaded")


class GenerationError(RequestError):
    """llama.cpp failed while it generated."""

    status: ClassVar[int] = 424
    error_type: ClassVar[str] = "generation"
    prefix: ClassVar[str] = "Request failed during generation: "


class IncompleteGenerationError(RequestError):
    """llama.cpp's answer ended before the generation did."""

    error_type: ClassVar[str] = "incomplete_generation"

    def __init__(self) -> None:
        super().__init__("Incomplete generation")


class IncompleteStreamError(RequestError):
    """The same, for a streamed request."""

    error_type: ClassVar[str] = "incomplete_generation_stream"

    def __init__(self) -> None:
        super().__init__("Incomplete generation stream")


class TemplateError(RequestError):
    """The chat template is missing or refused the messages."""

    status: ClassVar[int] = 422
    error_type: ClassVar[str] = "template_error"
    prefix: ClassVar[str] = "Template error: "


class ToolError(RequestError):
    """The request asks for tools."""

    status: ClassVar[int] = 422
    error_type: ClassVar[str] = "tool_error"
    prefix: ClassVar[str] = "Tool error: "


class BatchSizeError(RequestError):
    """More prompts in one request than allowed."""

    status: ClassVar[int] = 422
    error_type: ClassVar[str] = "batch size exceeded"


class SuffixError(RequestError):
    """`suffix` of /v1/completions."""

    status: ClassVar[int] = 422
    error_type: ClassVar[str] = "suffix not supported"


class BodyError(Exception):
    """A body that cannot be read as the request it should be: answered as text/plain with `status`."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
