"""Models behind an OpenAI-compatible API: OpenAI, vLLM, SGLang, llama.cpp, Ollama, and any other server with one."""
