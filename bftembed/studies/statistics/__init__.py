"""Statistics of designs with few runs of many items each."""
