"""The routes as FastAPI serves and describes them, but OpenAI's and TGI's own."""
