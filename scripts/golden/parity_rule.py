"""What both sides of the parity tests compute alike: drawn numbers and digests of tensors.

The other side is tests/parity/rule.h, which states the rule; the numbers are equal bit for bit. Needs numpy.
"""
import numpy as np

TEST, DROPOUT = 6, 3  # RngPurpose, tensor/rng.h
SAMPLES = 64
CHUNK = 1 << 20  # blocks of four words at a time


def philox(index, epoch, sample, key):
    """Blocks `index` (uint64) of one stream -> uint32 {4, len(index)}. Philox4x32-10."""
    low = np.uint64(0xFFFFFFFF)
    c0, c1 = index & low, (index >> np.uint64(32)) ^ np.uint64(epoch)
    c2 = np.full_like(c0, sample & 0xFFFFFFFF)
    c3 = np.full_like(c0, sample >> 32)
    k0, k1 = key
    for _ in range(10):
        a, b = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c2 = (b >> np.uint64(32)) ^ c1 ^ np.uint64(k0), (a >> np.uint64(32)) ^ c3 ^ np.uint64(k1)
        c1, c3 = b & low, a & low
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3]).astype(np.uint32)


def key_of(seed, purpose):
    return ((seed & 0xFFFFFFFF) ^ (purpose * 0x9E3779B9 & 0xFFFFFFFF), seed >> 32)


def hash_of(name):
    h = 14695981039346656037
    for byte in name.encode():
        h = (h ^ byte) * 1099511628211 % 2**64
    return h


def uniform(count, seed, purpose, epoch, sample):
    """`count` numbers in [0, 1) with 24 bits, as float64."""
    out = np.empty((count + 3) // 4 * 4)
    for first in range(0, len(out) // 4, CHUNK):
        last = min(first + CHUNK, len(out) // 4)
        words = philox(np.arange(first, last, dtype=np.uint64), epoch, sample, key_of(seed, purpose))
        out[4 * first:4 * last] = (words >> np.uint32(8)).T.reshape(-1) / 16777216.0
    return out[:count]


def between(low, high, count, seed, name):
    return (low + (high - low) * uniform(count, seed, TEST, 0, hash_of(name))).astype(np.float32)


def draw_parameter(name, shape, role, gain):
    """role: weight, bias, gamma, beta, running_mean, running_var."""
    count = int(np.prod(shape))
    small = 0.25 if name.rpartition(".")[0].endswith("bn3") else 1.0
    if role == "weight":
        bound = gain * np.sqrt(6.0 / (count // shape[0]))
        values = between(-bound, bound, count, 0, name)
    elif role == "beta":
        u = uniform(count, 0, TEST, 0, hash_of(name))
        values = (small * np.where(u < 0.5, u - 2, u + 1)).astype(np.float32)
    else:
        low, high = {"bias": (-0.1, 0.1), "gamma": (0.5 * small, small), "running_mean": (-0.5 * gain, 0.5 * gain),
                     "running_var": (gain * gain, 3 * gain * gain)}[role]
        values = between(low, high, count, 0, name)
    return values.reshape(shape)


def draw_images(shape, scale, seed):
    return between(-scale, scale, int(np.prod(shape)), seed, "image").reshape(shape)


def draw_labels(batch, classes):
    return (3 * np.arange(batch) + 1) % classes


def dropout_mask(shape, p, seed, step, node):
    """{N, ...} of 0 and 1 / (1 - p): the mask of DropoutSpec in tensor/ops/pointwise.h."""
    per = int(np.prod(shape[1:]))
    rows = [uniform(per, seed, DROPOUT, step, node << 32 | b) >= p for b in range(shape[0])]
    return (np.stack(rows) / (1 - p)).reshape(shape)


def sample_places(count):
    if count <= SAMPLES:
        return np.arange(count)
    index = np.arange(SAMPLES // 4, dtype=np.uint64)
    words = philox(index, 0, hash_of("places"), key_of(0, TEST)).T.reshape(-1)
    return (words.astype(np.uint64) * np.uint64(count) >> np.uint64(32)).astype(np.int64)


def digest(tensor):
    """norm, three projections on vectors of signs, and up to 64 entries of a float tensor in logical order."""
    x = np.asarray(tensor, dtype=np.float64).reshape(-1)
    sums = np.zeros(3)
    for first in range(0, len(x), 32 * CHUNK // 8):
        part = x[first:first + 32 * CHUNK // 8]
        blocks = np.arange(first // 32, (first + len(part) + 31) // 32, dtype=np.uint64)
        words = philox(blocks, 0, hash_of("signs"), key_of(0, TEST))
        for p in range(3):
            bits = np.unpackbits(words[p].astype("<u4").view(np.uint8), bitorder="little")[:len(part)]
            sums[p] += part.sum() - 2 * part @ bits
    return {"count": len(x), "norm": float(np.linalg.norm(x)), "projections": sums.tolist(),
            "samples": x[sample_places(len(x))].tolist()}
