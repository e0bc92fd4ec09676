import sys
from pathlib import Path

# "toy_task:ToyTask" is named in studies, so workers must be able to import it, too.
sys.path.insert(0, str(Path(__file__).parent))
