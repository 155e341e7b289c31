# SPDX-License-Identifier: Apache-2.0
"""Takes small GGUF files apart and puts them together again, right or wrong, for end-to-end tests."""
import struct


class Gguf:
    """A small GGUF file taken apart: {key: (type, value bytes)} and [(name, dims, type, data)]."""

    SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}

    def __init__(self, path):
        self.d, self.at = open(path, "rb").read(), 4
        self.version, n_tensors, n_kv = self.take("<IQQ")
        self.kv, infos = {}, []
        for _ in range(n_kv):
            key = self.text()
            kind = self.take("<I")[0]
            start = self.at
            self.skip(kind)
            self.kv[key] = (kind, self.d[start:self.at])
        for _ in range(n_tensors):
            name, n = self.text(), self.take("<I")[0]
            infos.append((name, list(self.take("<%dQ" % n)), *self.take("<IQ")))
        base = -(-self.at // 32) * 32
        ends = sorted([i[3] for i in infos] + [len(self.d) - base])
        self.tensors = [[name, dims, kind, self.d[base + off:base + ends[ends.index(off) + 1]]]
                        for name, dims, kind, off in infos]

    def take(self, form):
        v = struct.unpack_from(form, self.d, self.at)
        self.at += struct.calcsize(form)
        return v

    def text(self):
        n = self.take("<Q")[0]
        self.at += n
        return self.d[self.at - n:self.at].decode()

    def skip(self, kind):
        if kind == 8:
            self.text()
        elif kind == 9:
            elem, n = self.take("<IQ")
            for _ in range(n):
                self.skip(elem)
        else:
            self.at += self.SIZES[kind]

    def tensor(self, name):
        return next(t for t in self.tensors if t[0] == name)

    def write(self, path, behind=b""):
        def s(t):
            return struct.pack("<Q", len(t.encode())) + t.encode()
        head = b"GGUF" + struct.pack("<IQQ", 3, len(self.tensors), len(self.kv))
        for key, (kind, value) in self.kv.items():
            head += s(key) + struct.pack("<I", kind) + value
        data = b""
        for name, dims, kind, body in self.tensors:
            head += s(name) + struct.pack("<I%dQIQ" % len(dims), len(dims), *dims, kind, len(data))
            data += body + bytes(-len(body) % 32)
        with open(path, "wb") as f:
            f.write(head + bytes(-len(head) % 32) + data + behind)


def u32(v):
    return 4, struct.pack("<I", v & 0xffffffff)


def f32(v):
    return 6, struct.pack("<f", v)


def text(v):
    v = v if isinstance(v, bytes) else v.encode()
    return 8, struct.pack("<Q", len(v)) + v


def texts(values):
    return 9, struct.pack("<IQ", 8, len(values)) + b"".join(text(v)[1] for v in values)


def array(kind, form, values):
    return 9, struct.pack("<IQ", kind, len(values)) + b"".join(struct.pack(form, v) for v in values)
