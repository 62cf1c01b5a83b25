"""Whether an objective lets students take over less of what a teacher likes."""
