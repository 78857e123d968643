import sys

from api_compare.cli import main

sys.exit(main())
