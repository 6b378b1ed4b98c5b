#!/usr/bin/env python3
"""Makes tests/golden/resize.h: what Pillow's bilinear Image.resize gives for pictures drawn by formula.

    /usr/bin/python3 scripts/golden/resize.py > tests/golden/resize.h

Needs numpy and Pillow (made with 9.4). A crop is the window of the whole resized picture, placed as
torchvision's CenterCrop places it: int(round((size - window) / 2)), halves to even.
"""
import numpy as np
from PIL import Image

# in width, in height, scaled width, scaled height, window width, window height
CASES = [
    (37, 23, 16, 16, 16, 16), (16, 16, 37, 23, 37, 23), (100, 3, 9, 9, 9, 9), (1, 1, 4, 3, 4, 3),
    (1, 50, 3, 7, 3, 7), (50, 1, 7, 3, 7, 3), (64, 48, 64, 12, 64, 12), (64, 48, 13, 48, 13, 48),
    (20, 20, 20, 20, 20, 20), (50, 37, 43, 32, 28, 28), (37, 50, 32, 43, 28, 28), (45, 64, 32, 45, 27, 29),
    (500, 375, 24, 18, 17, 17), (3, 700, 2, 11, 2, 11), (29, 31, 30, 30, 30, 30), (17, 9, 150, 5, 30, 5),
]


def drawn(width, height):
    y, x, c = np.mgrid[0:height, 0:width, 0:3].astype(np.uint64)
    v = (x * 7919 + y * 104729 + c * 1299709 + x * y * 31) * 2654435761 % 2**32
    noise = v >> 24
    edge = np.where((x // 5 + y // 7) % 2 == 0, 255, 0).astype(np.uint64)
    smooth = (x * 3 + y * 2 + c * 60) % 256
    return np.where(y % 3 == 0, noise, np.where(y % 3 == 1, edge, smooth)).astype(np.uint8)


print("// Made by scripts/golden/resize.py with Pillow: windows of resized pictures that are drawn by formula.")
print("#pragma once\n\n// clang-format off\nnamespace ft::test {\n")
print("struct GoldenResize {\n  int in_width, in_height, scaled_width, scaled_height, width, height;")
print("  const char* rgb;  // {height,width,3} in hexadecimal\n};\n")
print("inline const GoldenResize kGoldenResize[] = {")
for in_w, in_h, w, h, win_w, win_h in CASES:
    resized = np.asarray(Image.fromarray(drawn(in_w, in_h)).resize((w, h), Image.Resampling.BILINEAR))
    left, top = int(round((w - win_w) / 2)), int(round((h - win_h) / 2))
    text = resized[top:top + win_h, left:left + win_w].tobytes().hex()
    print(f"    {{{in_w}, {in_h}, {w}, {h}, {win_w}, {win_h},")
    print("\n".join(f'     "{text[i:i + 90]}"' for i in range(0, len(text), 90)) + "},")
print("};\n\n}  // namespace ft::test")
