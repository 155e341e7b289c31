# SPDX-License-Identifier: Apache-2.0
"""What the benches share: llama.cpp built once below build/peers, or the user's own, models of random weights, and where a table of figures comes from."""
import datetime
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tarfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
PEERS = ROOT / "build" / "peers"
PACKAGE, VERSION = "llama-cpp-python", "0.3.36"
TARGETS = ["llama-bench", "llama-batched-bench", "llama-perplexity", "llama-server", "llama-completion", "llama-quantize"]


def build():
    """The folder of llama.cpp's programs, built when one of them is not there yet."""
    out = PEERS / "llama.cpp" / "bin"
    if all((out / t).exists() for t in TARGETS):
        return out
    if not shutil.which("cmake"):
        sys.exit("bench: building llama.cpp needs cmake; install it, or give --llama-bin, --alone")
    PEERS.mkdir(parents=True, exist_ok=True)
    pack = f"llama_cpp_python-{VERSION}.tar.gz"
    if not (PEERS / pack).exists():
        subprocess.check_call([sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary",
                               ":all:", "-d", str(PEERS), f"{PACKAGE}=={VERSION}"])
    with tarfile.open(PEERS / pack) as t:
        t.extractall(PEERS)
    source = PEERS / pack[:-len(".tar.gz")] / "vendor" / "llama.cpp"
    subprocess.check_call(["cmake", "-S", str(source), "-B", str(out.parent),
                           "-DCMAKE_BUILD_TYPE=Release", "-DGGML_NATIVE=ON", "-DLLAMA_CURL=OFF",
                           "-DLLAMA_BUILD_TESTS=OFF", "-DLLAMA_BUILD_EXAMPLES=OFF",
                           "-DLLAMA_BUILD_UI=OFF", "-DLLAMA_USE_PREBUILT_UI=OFF"])
    subprocess.check_call(["cmake", "--build", str(out.parent), "-j", str(os.cpu_count()),
                           "--target", *TARGETS])
    return out


def synthetic(what):
    """[name, file] of a model that tools/make-model writes once."""
    shape, kind = what.split(":")
    path = ROOT / "build" / "models" / f"{shape}-{kind}.gguf"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        subprocess.check_call([str(ROOT / "tools" / "make-model"), shape, kind, str(part)])
        part.rename(path)
    return [f"{shape} {kind}, random weights", str(path)]


def put_part(path, lines):
    """Writes lines, which begin with a heading "# ...", into a file in the place of the part with that heading, or behind
    the others: several tools write to one file."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    parts = [p.rstrip("\n") for p in re.split(r"(?m)^(?=# )", text) if p.strip()]
    new = "\n".join(lines).rstrip("\n")
    at = [i for i, p in enumerate(parts) if p.splitlines()[0] == lines[0]]
    if at:
        parts[at[0]] = new
    else:
        parts.append(new)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def provenance():
    """Lines that say when, from which commit and on what machine."""
    git = lambda *w: subprocess.run(["git", "-C", str(ROOT), *w], text=True, capture_output=True
                                    ).stdout.strip()
    cpu = next((s.split(":")[1].strip() for s in open("/proc/cpuinfo") if "model name" in s), "?")
    flags = next((s for s in open("/proc/cpuinfo") if s.startswith("flags")), "").split()
    level = [f for f in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16") if f in flags]
    dirty = " with changes" if git("status", "--porcelain", "--untracked-files=no") else ""
    return [f"- {datetime.date.today()}, commit {git('rev-parse', '--short', 'HEAD')}{dirty}",
            f"- {cpu}, {os.cpu_count()} processors ({', '.join(level) or platform.machine()}), "
            f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') >> 30} GB, "
            f"load {os.getloadavg()[0]:.1f} before"]
