"""Replies to dialogues about health."""
