"""The embedded engine: the HTTP protocol of Text Generation Inference over llama.cpp. Imports nothing of ours."""
