"""Questions with closed answers."""
