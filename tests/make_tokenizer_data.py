#!/usr/bin/env python3
"""Trains the small vocabularies of tests/data and asks their reference implementations for ids.

    pip install gguf sentencepiece==0.2.3 tokenizers==0.23.3
    python3 tests/make_tokenizer_data.py TEXT.txt

TEXT is English prose, some megabytes of it. Written for each vocabulary: NAME.gguf and NAME.jsonl, whose lines are
{"text": ..., "ids": [...]}.
"""
import json
import os
import sys
import tempfile

import gguf
import sentencepiece as spm
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data")
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
         r"|\s+(?!\S)|\s+")
MIXED = [
    "Grüße aus Köln, schöne Straße! ÄÖÜ ß", "Où est le café? Déjà vu, naïve façade.", "El niño comió piñatas ¡mañana!",
    "Привет, мир! Как дела?", "Γειά σου Κόσμε", "שלום עולם", "مرحبا بالعالم ٣٤٥", "नमस्ते दुनिया", "สวัสดีชาวโลก",
    "こんにちは世界。カタカナ", "你好，世界！我想在apple工作1314151天～", "안녕하세요 세계", "Cửa Việt",
    "😀 🚀 (normal) 😶‍🌫️ ✅ 🦙.cpp 👩🏽‍🚀 🇩🇪", "zero\u200bwidth\ufeffmarks e\u0301 a\u030a\u0301",
]
TEXTS = MIXED + [
    "", " ", "  ", "   ", "\t", "\n", "\n\n", "\n\n\n", "\t\n", " \n", "\r\n", "a\r\nb", "Hello world", " Hello world",
    "Hello  World", "   Hello", "Hello   ", "Hello\n   World\n\n\n  !", " this is a test.", "Hello, y'all! How are you?",
    "I've told him; he's there, we'll see. I'd go, 'tis so. YOU'RE, I'M, THEY'LL, 'S 'ſ 'Re", "!!!!!!", "a!b ?c", "....",
    "3", "33", "333", "3333", "12345678901234567890", "3.14, 1,000,000 and 0x1F; ½ ² Ⅷ", "w048 7tuijk dsdfhu",
    "for (int i = 0; i < n; ++i) {\n\tsum += a[i] * b[i];  // dot\n}\n", "def f(x):\n    return x**2\n\n\nprint(f(3))",
    "<html><body class=\"x\">&amp;</body></html>", "{\"a\": [1, 2.5, null], \"b\": \"\\u00e9\"}", "a" * 60, "ab" * 40,
    " " * 50, "\n" * 20, "-" * 33 + "=" * 17, "日" * 20, "e\u0301" * 15, "x" * 101, "y" * 100, "antidisestablishmentarianism",
    "The   end\t\t.\u00a0Non\u2009breaking\u3000spaces\u2028line\u2029par\x0bvt\x0cff\x85nel", "\x00null\x01\x1f\x7f",
    "≠ ﬁ Å ǅ İ ı ẞ ﷺ 각 豈 \U0002F800", "MiXeD CaSe ÉÈ ÑÜ", "<s> </s> <unk> <0x0A> [CLS] ## ▁",
]


def stories(path):
    with open(path, encoding="utf-8") as file:
        paragraphs = [p for p in file.read().split("\n\n") if p]
    return paragraphs[:20000] + MIXED * 20, paragraphs[-6:]


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


def write_golden(name, texts, encode):
    with open(os.path.join(DATA, name + ".jsonl"), "w", encoding="utf-8") as file:
        for text in texts:
            file.write(json.dumps({"text": text, "ids": encode(text)}, ensure_ascii=True) + "\n")


def sentencepiece(name, training, texts, fallback):
    folder = tempfile.mkdtemp()
    with open(os.path.join(folder, "text"), "w", encoding="utf-8") as file:
        file.write("\n".join(p.replace("\n", " ") for p in training))
    spm.SentencePieceTrainer.train(
        input=os.path.join(folder, "text"), model_prefix=os.path.join(folder, "m"), model_type="bpe", vocab_size=560,
        byte_fallback=fallback, character_coverage=0.998, normalization_rule_name="identity",
        remove_extra_whitespaces=False, allow_whitespace_only_pieces=True, split_digits=True, minloglevel=1)
    model = spm.SentencePieceProcessor(model_file=os.path.join(folder, "m.model"))
    pieces = range(model.vocab_size())
    kinds = [(model.IsUnknown, gguf.TokenType.UNKNOWN), (model.IsControl, gguf.TokenType.CONTROL),
             (model.IsUnused, gguf.TokenType.UNUSED), (model.IsByte, gguf.TokenType.BYTE)]
    writer = gguf.GGUFWriter(os.path.join(DATA, name + ".gguf"), "llama")
    writer.add_tokenizer_model("llama")
    writer.add_token_list([model.IdToPiece(i) for i in pieces])
    writer.add_token_scores([model.GetScore(i) for i in pieces])
    writer.add_token_types([int(next((t for test, t in kinds if test(i)), gguf.TokenType.NORMAL)) for i in pieces])
    writer.add_bos_token_id(model.bos_id())
    writer.add_eos_token_id(model.eos_id())
    writer.add_unk_token_id(model.unk_id())
    finish(writer)
    write_golden(name, texts, model.EncodeAsIds)


def qwen2(name, training, texts):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(QWEN2), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer.train_from_iterator(training, trainers.BpeTrainer(
        vocab_size=1000, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    tokenizer.add_special_tokens(specials)
    model = json.loads(tokenizer.to_str())["model"]
    pieces = [tokenizer.id_to_token(i) for i in range(tokenizer.get_vocab_size())]
    writer = gguf.GGUFWriter(os.path.join(DATA, name + ".gguf"), "qwen2")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(pieces)
    writer.add_token_types([int(gguf.TokenType.CONTROL if p in specials else gguf.TokenType.NORMAL) for p in pieces])
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in model["merges"]])
    writer.add_eos_token_id(tokenizer.token_to_id("<|im_end|>"))
    writer.add_add_bos_token(False)
    finish(writer)
    write_golden(name, texts, lambda text: tokenizer.encode(text).ids)


def wordpiece(name, training, texts):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(training, trainers.WordPieceTrainer(
        vocab_size=900, special_tokens=specials, show_progress=False))
    pieces = [tokenizer.id_to_token(i) for i in range(tokenizer.get_vocab_size())]
    writer = gguf.GGUFWriter(os.path.join(DATA, name + ".gguf"), "bert")
    writer.add_tokenizer_model("bert")
    writer.add_token_list([p if p in specials else p[2:] if p.startswith("##") else "\u2581" + p for p in pieces])
    writer.add_token_types([int(gguf.TokenType.CONTROL if p in specials else gguf.TokenType.NORMAL) for p in pieces])
    writer.add_unk_token_id(1)
    writer.add_uint32("tokenizer.ggml.cls_token_id", 2)
    writer.add_sep_token_id(3)
    finish(writer)
    # The reference finds special tokens in text; text from a user must not name them.
    for special in specials:
        assert not any(special in text for text in texts if special != "[CLS]")
    write_golden(name, [t for t in texts if "[CLS]" not in t], lambda text: tokenizer.encode(text).ids)


def main(path):
    training, prose = stories(path)
    texts = TEXTS + prose
    sentencepiece("spm", training, texts, True)
    sentencepiece("spm-no-bytes", training, texts, False)
    qwen2("qwen2", training, texts)
    wordpiece("wordpiece", training, texts)


main(sys.argv[1])
