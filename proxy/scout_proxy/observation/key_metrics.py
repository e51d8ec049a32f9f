"""What each API key used, for as many keys as a dashboard can show."""

from dataclasses import dataclass

from scout_proxy.observation.instruments import Count, Instruments

# Keys are the operator's, so their number is bounded, but a service with thousands would have four series of each.
KEYS_SHOWN = 50
_OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class KeyMeter:
    """What one API key used; each count is changed in place."""

    requests: Count
    refused: Count
    prompt_tokens: Count
    generated_tokens: Count


class KeyMetrics:
    """Gives the first `KEYS_SHOWN` keys that are used a meter each, and all others one together."""

    def __init__(self, make: Instruments) -> None:
        self._meters: dict[str, KeyMeter] = {}
        self._requests = make.counts("scout_proxy_key_requests", "Requests let in, by API key.", "key")
        self._refused = make.counts("scout_proxy_key_requests_refused", "Requests refused, by API key.", "key")
        self._prompt = make.counts("scout_proxy_key_prompt_tokens", "Tokens of prompts, by API key.", "key")
        self._generated = make.counts("scout_proxy_key_generated_tokens", "Tokens generated, by API key.", "key")

    def handle(self, key_id: str) -> KeyMeter:
        """Return the key's meter, the same one each time."""
        if (meter := self._meters.get(key_id)) is not None:
            return meter
        if len(self._meters) >= KEYS_SHOWN and key_id != _OTHER:
            return self.handle(_OTHER)
        meter = self._meters[key_id] = KeyMeter(
            requests=self._requests.at(key_id),
            refused=self._refused.at(key_id),
            prompt_tokens=self._prompt.at(key_id),
            generated_tokens=self._generated.at(key_id),
        )
        return meter
