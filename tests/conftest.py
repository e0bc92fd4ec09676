from hypothesis import settings

# A busy machine, or a library that prepares itself in its first call, says nothing about a law.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
