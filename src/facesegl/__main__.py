"""`python -m facesegl` runs the command."""

import sys

from facesegl.cli import main

if __name__ == "__main__":
    sys.exit(main())
