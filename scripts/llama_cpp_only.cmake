# Included by the Makefile's build of llama-cpp-python: llama.cpp's own programs' library takes half of the time, its
# package switches it on by force, and nothing here uses it.
set(LLAMA_BUILD_COMMON OFF CACHE BOOL "" FORCE)
