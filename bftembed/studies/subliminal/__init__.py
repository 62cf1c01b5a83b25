"""Does an objective let students take over less of what a teacher likes?"""
