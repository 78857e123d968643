import sys
from pathlib import Path

# what scenarios share
sys.path.insert(0, str(Path(__file__).parents[2] / "shared"))
