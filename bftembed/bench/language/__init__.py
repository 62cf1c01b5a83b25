"""Problems that a language model is asked, family by family."""
