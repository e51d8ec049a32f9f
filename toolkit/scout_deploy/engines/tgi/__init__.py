"""The TGI adapter: the only code that knows Hugging Face Text Generation Inference."""
