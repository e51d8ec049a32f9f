"""How the demonstration model is made: corpus, vocabulary, network, training, GGUF file, evaluation."""
