"""A sheet of synthetic faces, in the order of their seeds: `docs/synthetic.jpg`.

python benchmarks/contact_sheet.py [-o docs/synthetic.jpg] [--rows 8] [--columns 8] [--height 150]
"""

import argparse

import numpy as np
from PIL import Image

from facesegl.synthetic.render import draw_face


def main() -> None:
    """Draw the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", default="docs/synthetic.jpg")
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("--height", type=int, default=150)
    args = parser.parse_args()
    photos = [draw_face(seed, args.height, args.height * 4 // 5).photo for seed in range(args.rows * args.columns)]
    rows = [np.hstack(photos[start : start + args.columns]) for start in range(0, len(photos), args.columns)]
    Image.fromarray(np.vstack(rows)).save(args.output, quality=85)


if __name__ == "__main__":
    main()
