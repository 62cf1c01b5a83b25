"""Language models on disk and in memory: finding their files, identifying them by content, loading them.

``files`` finds, downloads and converts; ``digest`` identifies; ``causal`` loads models, tokenizers and adapters;
``chat`` makes tokens of prompts.
"""
