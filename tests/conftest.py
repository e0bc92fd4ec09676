import os
import tempfile

from hypothesis import settings

# the key of whoever runs the tests is not touched
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp()

# Threads of BLAS wait for each other by spinning: with the cores shared by several workers, the
# radar of four passages took 41 s of CPU time instead of 2. Set before NumPy is imported.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

# A busy machine, or a library that prepares itself in its first call, says nothing about a law.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
