#!/usr/bin/env python3
"""How far quantized arithmetic strays: tyto and llama.cpp against tyto's reference backend, on the same files.

  quality.py TYTO STORY_F16.gguf TEXT [--types F16 Q8_0 ...] [--chunks 9] [--json FILE]

STORY_F16.gguf is quantized by llama.cpp to each type. The text is cut into chunks of BOS and 255 tokens, and every
position that has a next token is scored. R: tyto's reference backend (float32, F32 cache). tyto (CPU) and llama.cpp
run with an F16 cache. Checked, for each type: KL(R, tyto) <= 1.1 KL(R, llama.cpp) + 1e-5 in the mean; perplexities
equal to 0.5 %, also that of `tyto perplexity`; for F16, KL(tyto, llama.cpp) <= 1e-4. Exits with 1 if a check fails.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

import peer

CHUNK = 256
TYPES = ["F16", "Q8_0", "Q4_0", "Q4_K_M", "Q5_K_M", "Q6_K"]


def log_softmax(logits):
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def divergence(p, q):
    """Mean Kullback-Leibler divergence of log probabilities [positions, vocabulary]."""
    return float((np.exp(p) * (p - q)).sum(-1).mean())


def perplexity(log_p, targets):
    return float(np.exp(-log_p[np.arange(len(targets)), targets].mean()))


def chunks_of(model, text, count):
    with peer.opened(model, context=CHUNK) as llama_cpp:
        ids = llama_cpp.tokenize(text)
        begin = llama_cpp.begin_of_text()
    width = CHUNK - 1
    if len(ids) < count * width:
        sys.exit(f"the text has {len(ids)} tokens, {count * width} are needed")
    return [[begin] + ids[i * width : (i + 1) * width] for i in range(count)]


def tyto(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return done.stdout


def tyto_logits(program, model, chunks, work, *options):
    ids, out = work / "ids.txt", work / "logits.npy"
    ids.write_text("".join(" ".join(map(str, chunk)) + "\n" for chunk in chunks))
    tyto(program, "logits", model, "--ids-file", ids, "--out", out, *options)
    logits = np.load(out)
    out.unlink()
    return logits


def tyto_perplexity(program, model, text, positions, *options):
    limits = ["--chunk", CHUNK, "--positions", positions]
    return json.loads(tyto(program, "perplexity", model, "-f", text, *limits, "--json", *options))["perplexity"]


def llama_cpp_logits(model, chunks, flash, threads=1):
    with peer.opened(model, threads, context=CHUNK, flash=flash) as llama_cpp:
        return np.concatenate([llama_cpp.logits(chunk) for chunk in chunks])


def measure(kind, model, chunks, work, args):
    scored = np.tile(np.arange(CHUNK) < CHUNK - 1, len(chunks))  # the last of a chunk has no next token
    targets = np.concatenate([chunk[1:] for chunk in chunks])
    cpu = ["--device", "cpu", "--kv", "f16", "--isa", args.isa, "-t", args.threads]

    def distribution(logits):
        return log_softmax(logits[scored])

    reference = distribution(tyto_logits(args.tyto, model, chunks, work, "--device", "reference", "--kv", "f32"))
    ours = distribution(tyto_logits(args.tyto, model, chunks, work, *cpu))
    llama_cpp = distribution(llama_cpp_logits(model, chunks, args.flash, args.threads))
    found = {
        "type": kind,
        "kl_tyto": divergence(reference, ours),
        "kl_llama_cpp": divergence(reference, llama_cpp),
        "kl_tyto_llama_cpp": divergence(ours, llama_cpp),
        "perplexity_reference": perplexity(reference, targets),
        "perplexity_tyto": perplexity(ours, targets),
        "perplexity_tyto_command": tyto_perplexity(args.tyto, model, args.text, len(targets), *cpu),
        "perplexity_llama_cpp": perplexity(llama_cpp, targets),
    }
    failed = []
    if found["kl_tyto"] > 1.1 * found["kl_llama_cpp"] + 1e-5:
        failed.append("KL(R, tyto)")
    if kind == "F16" and found["kl_tyto_llama_cpp"] > 1e-4:
        failed.append("KL(tyto, llama.cpp)")
    for name in ("perplexity_tyto", "perplexity_tyto_command"):
        if abs(found[name] / found["perplexity_llama_cpp"] - 1) > 0.005:
            failed.append(name)
    return found, failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tyto", help="the tyto program")
    parser.add_argument("model", type=pathlib.Path, help="the demo model in F16")
    parser.add_argument("text", type=pathlib.Path)
    parser.add_argument("--types", nargs="+", default=TYPES)
    parser.add_argument("--chunks", type=int, default=9)
    parser.add_argument("--isa", default="best")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--flash", choices=peer.FLASH, default="auto", help="llama.cpp's flash attention")
    parser.add_argument("--json", type=pathlib.Path)
    args = parser.parse_args()

    results, failures = [], []
    print("| type | KL(R, tyto) | KL(R, llama.cpp) | KL(tyto, llama.cpp) | perplexity R | tyto | llama.cpp |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        chunks = chunks_of(args.model, args.text.read_text(encoding="utf-8"), args.chunks)
        for kind in args.types:
            model = args.model
            if kind != "F16":
                model = work / f"{kind}.gguf"
                peer.quantize(args.model, model, kind)
            found, failed = measure(kind, model, chunks, work, args)
            results.append(found)
            failures += [f"{kind}: {what}" for what in failed]
            print(
                f"| {kind} | {found['kl_tyto']:.2e} | {found['kl_llama_cpp']:.2e} | {found['kl_tyto_llama_cpp']:.2e} | "
                f"{found['perplexity_reference']:.3f} | {found['perplexity_tyto']:.3f} | "
                f"{found['perplexity_llama_cpp']:.3f} |",
                flush=True,
            )
    if args.json:
        report = {"schema": "tyto.quality.v1", "positions": args.chunks * (CHUNK - 1), "isa": args.isa,
                  "peer": peer.version(), "peer_flash_attention": args.flash, "types": results, "failed": failures}
        args.json.write_text(json.dumps(report, indent=1) + "\n")
    sys.exit("failed: " + "; ".join(failures) if failures else 0)


if __name__ == "__main__":
    main()
