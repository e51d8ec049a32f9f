"""Put an engine together, in the order that its callers see: model file, llama.cpp, warm-up, listening."""

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from time import perf_counter

import uvloop

from scout_engine.app import create_app
from scout_engine.config import EngineConfig, Limits, ServedModel
from scout_engine.cpus import default_threads
from scout_engine.errors import ArgumentError, RequestError, RuntimeFailedError
from scout_engine.generate_request import GenerateParameters, GenerateRequest
from scout_engine.generation import Engine
from scout_engine.gguf import GgufMetadata, read_metadata
from scout_engine.llama import RunningLlama, start_llama
from scout_engine.llama_client import LlamaClient
from scout_engine.metrics import EngineMetrics
from scout_engine.serving import bind, serve, url_of
from scout_engine.startup_log import write_phase
from scout_engine.vocabulary import Vocabulary, read_vocabulary

_LARGEST_DEFAULT_CONTEXT = 4096
_WARM_UP = GenerateRequest(inputs="Hello", parameters=GenerateParameters(max_new_tokens=2))


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model in memory, ready to be asked."""

    llama: RunningLlama
    vocabulary: Vocabulary
    limits: Limits
    served: ServedModel


def load(config: EngineConfig) -> LoadedModel:
    """Check the model file and start llama.cpp on it; blocks.

    Raises:
        EngineError: As its subclasses say.
    """
    facts = read_metadata(config.model_path)
    context = _context(config, facts)
    vocabulary = read_vocabulary(facts)
    with _interruptible():
        llama = start_llama(config, context=context, threads=config.threads or default_threads())
    limits = Limits(
        max_input_tokens=config.max_input_tokens or context - 1,
        max_total_tokens=context,
        max_concurrent_requests=config.max_concurrent_requests,
        max_best_of=config.max_best_of,
        max_stop_sequences=config.max_stop_sequences,
        payload_limit_bytes=config.payload_limit_bytes,
    )
    served = ServedModel(
        model_id=config.model_id,
        version=metadata.version("scout-deploy"),
        chat_template=facts.text("tokenizer.chat_template"),
        bos_token=vocabulary.name(vocabulary.bos),
        eos_token=vocabulary.name(vocabulary.eos),
    )
    return LoadedModel(llama=llama, vocabulary=vocabulary, limits=limits, served=served)


def _context(config: EngineConfig, facts: GgufMetadata) -> int:
    trained = facts.context_length
    if config.context is None:
        context = min(trained or _LARGEST_DEFAULT_CONTEXT, _LARGEST_DEFAULT_CONTEXT)
    elif trained is not None and config.context > trained:
        raise ArgumentError(
            f"--context {config.context} is more than the {trained} tokens {config.model_path} was trained for"
        )
    else:
        context = config.context
    if config.max_input_tokens is not None and config.max_input_tokens >= context:
        raise ArgumentError(
            f"--max-input-tokens {config.max_input_tokens} leaves no room to generate in a context of {context}; "
            f"give at most {context - 1}"
        )
    return context


def run(config: EngineConfig, *, clock: Callable[[], float] = perf_counter) -> None:
    """Start, serve until told to stop, drain, return.

    The address is bound first, so that a taken port fails before a long load, and listened on last, so that a
    connection is refused until a generation has worked.

    Raises:
        EngineError: As its subclasses say.
    """
    started = clock()
    with bind(config.host, config.port) as bound:
        write_phase("load", model=config.model_path)
        model = load(config)
        write_phase("warm-up")
        uvloop.run(_serve(config, model, bound, lambda: clock() - started))


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C end the process at once: llama.cpp holds the interpreter while it loads, so no handler would run.

    A shell reports the exit code 130 either way.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


async def _serve(config: EngineConfig, model: LoadedModel, bound: socket.socket, elapsed: Callable[[], float]) -> None:
    def listening() -> None:
        write_phase("ready", url=url_of(bound), seconds=f"{elapsed():.2f}")

    # The warm-up has an engine of its own, so that no metric counts it.
    await _warm_up(_engine(model))
    app = create_app(_engine(model), model.served)
    await serve(app, bound, drain_s=config.drain_s, listening=listening)


def _engine(model: LoadedModel) -> Engine:
    llama = LlamaClient(model.llama.host, model.llama.port, model.llama.api_key)
    return Engine(llama=llama, vocabulary=model.vocabulary, limits=model.limits, metrics=EngineMetrics())


async def _warm_up(engine: Engine) -> None:
    try:
        await engine.generate(_WARM_UP)
    except RequestError as error:
        raise RuntimeFailedError(f"the first generation failed: {error}; try a smaller --context") from error
