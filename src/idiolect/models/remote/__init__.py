"""Models behind an OpenAI-compatible API: OpenAI, vLLM, SGLang, llama.cpp, Ollama, and whatever else speaks it."""
