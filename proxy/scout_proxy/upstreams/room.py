"""How much can be generated behind a prompt. The engine counts its tokens only where bytes cannot prove a fit."""

from dataclasses import dataclass

from scout_proxy.errors import NoRoomError
from scout_proxy.upstreams.engine import Engine, EngineFacts

# What a tokenizer may add to a prompt: the begin-of-text token, and the space that some put in front.
_ADDED_TOKENS = 4


@dataclass(frozen=True, kw_only=True)
class Room:
    """What was found for a text, at an engine with these limits."""

    text: str
    facts: EngineFacts
    max_new_tokens: int

    def holds_for(self, text: str, facts: EngineFacts) -> bool:
        """Tell whether it need not be measured again for this text at an engine with these limits."""
        return text == self.text and facts.has_room_of(self.facts)


def room_by_bytes(text: str, max_length: int, facts: EngineFacts) -> Room | None:
    """Return the whole `max_length` where the text's length in bytes proves that it fits."""
    most_tokens = len(text.encode()) + _ADDED_TOKENS  # no token stands for less than a byte
    if most_tokens > facts.max_input_tokens or most_tokens + max_length > facts.max_total_tokens:
        return None
    return Room(text=text, facts=facts, max_new_tokens=max_length)


async def measure_room(text: str, max_length: int, facts: EngineFacts, engine: Engine) -> Room:
    """Cut `max_length` to what `facts` leave behind the text, which `engine` counts where it has to be.

    Raises:
        NoRoomError: Nothing is left.
    """
    if room := room_by_bytes(text, max_length, facts):
        return room
    tokens = await engine.count_tokens(text)
    limit = min(facts.max_input_tokens, facts.max_total_tokens - 1)
    if tokens > limit:
        raise NoRoomError.of(
            "prompt_too_long",
            f"The prompt has {tokens} tokens and leaves no room to generate; the limit is {limit}",
            field="prompt",
        )
    return Room(text=text, facts=facts, max_new_tokens=min(max_length, facts.max_total_tokens - tokens))
