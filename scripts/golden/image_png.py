#!/usr/bin/env python3
"""Makes tests/golden/image_png.h: tiny PNG and BMP files of every kind with the RGB pixels they must give.

    /usr/bin/python3 scripts/golden/image_png.py > tests/golden/image_png.h

PNG files are written here, chunk by chunk, since Pillow writes few of the kinds; the expected pixels come
from the drawn samples by the rules of io/image.h and are compared with Pillow wherever Pillow reads the
kind the same way. BMP files are written by Pillow, or here. Needs numpy and Pillow (made with 9.4).
"""
import io
import struct
import sys
import warnings
import zlib

import numpy as np
from PIL import Image

W, H = 11, 7
warnings.filterwarnings("ignore", message="Palette images with Transparency")


def samples(channels, bits):
    """Drawn by formula: every value range, no symmetry."""
    y, x, c = np.mgrid[0:H, 0:W, 0:channels]
    v = (x * 7919 + y * 104729 + c * 1299709 + x * y * 31) * 2654435761
    return ((v >> 7) & ((1 << bits) - 1)).astype(np.uint16)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def pack_row(row, bits):
    """row {width, channels} -> bytes."""
    flat = row.reshape(-1)
    if bits == 16:
        return flat.astype(">u2").tobytes()
    if bits == 8:
        return flat.astype(np.uint8).tobytes()
    text = "".join(format(v, f"0{bits}b") for v in flat)
    text += "0" * (-len(text) % 8)
    return bytes(int(text[i:i + 8], 2) for i in range(0, len(text), 8))


def filtered(rows, step):
    """Rows behind one another, each with another of the five filters."""
    out, above = b"", bytes(len(rows[0]))
    for y, row in enumerate(rows):
        kind = y % 5
        line = bytearray()
        for i, v in enumerate(row):
            a = row[i - step] if i >= step else 0
            b = above[i]
            c = above[i - step] if i >= step else 0
            p = a + b - c
            near = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            line.append((v - (0, a, b, (a + b) // 2, near)[kind]) & 255)
        out += bytes([kind]) + bytes(line)
        above = row
    return out


PASSES = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def png(pixels, color, bits, interlaced=False, extra=(), cuts=1):
    step = max(1, pixels.shape[2] * bits // 8)
    data = b""
    for x0, y0, dx, dy in PASSES if interlaced else [(0, 0, 1, 1)]:
        part = pixels[y0::dy, x0::dx]
        if part.size:
            data += filtered([pack_row(row, bits) for row in part], step)
    packed = zlib.compress(data, 9)
    head = struct.pack(">IIBBBBB", W, H, bits, color, 0, 0, interlaced)
    out = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head)
    out += b"".join(chunk(k, d) for k, d in extra)
    for i in range(cuts):
        out += chunk(b"IDAT", packed[len(packed) * i // cuts:len(packed) * (i + 1) // cuts])
    return out + chunk(b"IEND", b"")


def to_rgb(pixels, bits):
    """Grey or RGB samples, alpha already gone -> 8-bit RGB."""
    v = (pixels >> 8) if bits == 16 else pixels * (255 // ((1 << bits) - 1))
    return np.repeat(v, 3, axis=2).astype(np.uint8) if v.shape[2] == 1 else v.astype(np.uint8)


def compare_with_pillow(name, data, rgb):
    with Image.open(io.BytesIO(data)) as image:
        if image.mode in ("I", "I;16"):
            return  # Pillow clips 16-bit grey instead of scaling it
        got = np.asarray(image.convert("RGBA" if "A" in image.mode else "RGB"))[:, :, :3]
    # Pillow rounds 5 and 6 bits to 8 where the decoder repeats the high bits: one apart at most.
    if np.abs(got.astype(int) - rgb).max() > (1 if name == "bmp16_565" else 0):
        sys.exit(f"{name}: Pillow disagrees")


def cases():
    for bits in (1, 2, 4, 8, 16):
        p = samples(1, bits)
        for interlaced in (False, True):
            yield (f"grey{bits}" + "_interlaced" * interlaced, png(p, 0, bits, interlaced),
                   to_rgb(p, bits), "grey" + " sixteen" * (bits == 16))
    for color, channels, kind in ((2, 3, "rgb"), (4, 2, "grey_alpha"), (6, 4, "rgba")):
        for bits in (8, 16):
            p = samples(channels, bits)
            notes = " ".join(["grey"] * (color == 4) + ["alpha"] * (color >= 4) + ["sixteen"] * (bits == 16))
            colors = p[:, :, :1] if color == 4 else p[:, :, :3]
            yield kind + str(bits), png(p, color, bits, bits == 16, cuts=3), to_rgb(colors, bits), notes
    for bits in (1, 2, 4, 8):
        p = samples(1, bits)
        palette = np.array([[i * 37 % 256, i * 91 % 256, 255 - i] for i in range(1 << bits)], np.uint8)
        rgb = palette[p[:, :, 0]]
        yield f"palette{bits}", png(p, 3, bits, False, [(b"PLTE", palette.tobytes())]), rgb, ""
        yield (f"palette{bits}_alpha", png(p, 3, bits, True, [
            (b"PLTE", palette.tobytes()), (b"tRNS", bytes(range(0, 1 << bits)))]), rgb, "alpha")
    p = samples(3, 8)
    key = struct.pack(">HHH", *[int(v) for v in p[2, 3]])
    yield "rgb8_key", png(p, 2, 8, extra=[(b"gAMA", struct.pack(">I", 45455)), (b"tRNS", key)]), to_rgb(p, 8), "alpha"
    p = samples(1, 4)
    yield "grey4_key", png(p, 0, 4, extra=[(b"tRNS", struct.pack(">H", int(p[1, 1, 0])))]), to_rgb(p, 4), "grey alpha"
    yield from bmp_cases()


def bmp_cases():
    rgb = samples(3, 8).astype(np.uint8)
    yield "bmp24", pillow_bmp(Image.fromarray(rgb)), rgb, ""
    grey = rgb[:, :, 0]
    yield "bmp8", pillow_bmp(Image.fromarray(grey)), np.repeat(grey[:, :, None], 3, 2), ""
    bit = (grey > 127).astype(np.uint8) * 255
    yield "bmp1", pillow_bmp(Image.fromarray(bit).convert("1", dither=Image.Dither.NONE)), np.repeat(
        bit[:, :, None], 3, 2), ""
    # 16 bits, 5-6-5, in a plain header followed by masks
    v = samples(1, 16)[:, :, 0]
    r, g, b = v >> 11, v >> 5 & 63, v & 31
    expected = np.stack([r << 3 | r >> 2, g << 2 | g >> 4, b << 3 | b >> 2], 2).astype(np.uint8)
    rows = b"".join(row.astype("<u2").tobytes() + b"\0" * (W % 2 * 2) for row in v[::-1])
    head = struct.pack("<IiiHHIIiiII", 40, W, H, 1, 16, 3, len(rows), 0, 0, 0, 0)
    head += struct.pack("<III", 0xF800, 0x07E0, 0x001F)
    yield "bmp16_565", b"BM" + struct.pack("<IHHI", 14 + len(head) + len(rows), 0, 0, 14 + len(head)) + head + rows, expected, ""
    # 4 bits in an OS/2 header with three-byte palette entries
    index = samples(1, 4)[:, :, 0]
    palette = np.array([[i * 16, 255 - i, i * 5] for i in range(16)], np.uint8)
    rows = b"".join(pack_row(row[:, None], 4).ljust(8, b"\0") for row in index[::-1])
    head = struct.pack("<IHHHH", 12, W, H, 1, 4) + palette[:, ::-1].tobytes()
    yield "bmp4_os2", b"BM" + struct.pack("<IHHI", 14 + len(head) + len(rows), 0, 0, 14 + len(head)) + head + rows, palette[index], ""
    # 32 bits with an alpha mask in a V4 header
    rgba = samples(4, 8).astype(np.uint8)
    rows = rgba[::-1][:, :, [2, 1, 0, 3]].tobytes()
    head = struct.pack("<IiiHHIIiiII", 108, W, H, 1, 32, 3, len(rows), 0, 0, 0, 0)
    head += struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + bytes(52)
    yield "bmp32_alpha", b"BM" + struct.pack("<IHHI", 14 + len(head) + len(rows), 0, 0, 14 + len(head)) + head + rows, rgba[:, :, :3], "alpha"


def pillow_bmp(image):
    out = io.BytesIO()
    image.save(out, "BMP")
    return out.getvalue()


def quoted(data):
    text = data.hex()
    return "\n".join(f'     "{text[i:i + 90]}"' for i in range(0, len(text), 90))


print("// Made by scripts/golden/image_png.py: PNG and BMP files, 11 x 7 pixels, and the RGB they must give.")
print("#pragma once\n\n// clang-format off\n")
print('#include "tests/golden/image_golden.h"\n')
print("namespace ft::test {\n")
print("inline const GoldenImage kGoldenPng[] = {")
for name, data, rgb, notes in cases():
    compare_with_pillow(name, data, rgb)
    print(f'    {{"{name}", {W}, {H}, "{notes}",\n{quoted(data)},\n{quoted(rgb.tobytes())}}},')
print("};\n\n}  // namespace ft::test")
