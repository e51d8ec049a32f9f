"""A program that plays the launcher of Text Generation Inference: its environment, log lines, phases and deaths.

What it serves is the embedded engine. Wordings and their order: launcher/src/main.rs, backends/v3/src/lib.rs and
router/src/server.rs of https://github.com/huggingface/text-generation-inference at v3.3.7.
"""
