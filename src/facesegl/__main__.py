"""`python -m facesegl` runs the command."""

import contextlib
import sys
from pathlib import Path

if __name__ == "__main__":
    with contextlib.suppress(FileNotFoundError):  # the current folder was deleted
        if not sys.flags.safe_path and sys.path[0] == str(Path.cwd()):
            del sys.path[0]  # python -m puts the current folder there, and libraries try to import optional modules
    from facesegl.cli import main

    sys.exit(main())
