import os
import tempfile

from hypothesis import settings

# the key of whoever runs the tests is not touched
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp()

# A busy machine, or a library that prepares itself in its first call, says nothing about a law.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
