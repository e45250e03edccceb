"""`python -m facesegl` runs the command."""

import contextlib
import os
import sys

if __name__ == "__main__":
    with contextlib.suppress(FileNotFoundError):  # the current folder was deleted
        # python -m puts the current folder there; pathlib, for one, tries to import modules of other systems
        if not sys.flags.safe_path and sys.path[0] == os.getcwd():  # noqa: PTH109
            del sys.path[0]
    from facesegl.cli import main

    sys.exit(main())
