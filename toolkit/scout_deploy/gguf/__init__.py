"""What a GGUF model file says of itself, read without loading the model."""
