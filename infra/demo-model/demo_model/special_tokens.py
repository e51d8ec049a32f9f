"""Llama 4's special tokens that the demonstration model has, and its chat template."""

from typing import Final

BEGIN_OF_TEXT: Final = "<|begin_of_text|>"
END_OF_TEXT: Final = "<|end_of_text|>"
HEADER_START: Final = "<|header_start|>"
HEADER_END: Final = "<|header_end|>"
END_OF_MESSAGE: Final = "<|eom|>"
END_OF_TURN: Final = "<|eot|>"

SPECIAL_TOKENS: Final = (
    BEGIN_OF_TEXT,
    END_OF_TEXT,
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    HEADER_START,
    HEADER_END,
    END_OF_MESSAGE,
    END_OF_TURN,
    "<|step|>",
    "<|python_start|>",
    "<|python_end|>",
    "<|finetune_right_pad|>",
)
"""In Llama 4's own order, from the id that follows the last ordinary token."""

AFTER_HEADER: Final = "\n\n"

CHAT_TEMPLATE: Final = """\
{{- bos_token }}
{%- for message in messages %}
    {{- '<|header_start|>' + message['role'] + '<|header_end|>\\n\\n' }}
    {%- if message['content'] is string %}
        {{- message['content'] | trim }}
    {%- else %}
        {%- for part in message['content'] if part['type'] == 'text' %}
            {{- part['text'] | trim }}
        {%- endfor %}
    {%- endif %}
    {{- '<|eot|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|header_start|>assistant<|header_end|>\\n\\n' }}
{%- endif %}
"""
