"""llama.cpp through its C interface (llama-cpp-python): the peer that every comparison drives.

Settings are a normal user's: a native build, default buffers (it may repack weights and use AMX), `threads` threads
for prompt and generation, flash attention as asked.
"""
import ctypes
from contextlib import contextmanager

import llama_cpp as lib
import numpy as np

FLASH = {"auto": lib.LLAMA_FLASH_ATTN_TYPE_AUTO, "off": 0, "on": 1}
_silence = lib.llama_log_callback(lambda level, text, data: None)


def _start():
    lib.llama_log_set(_silence, ctypes.c_void_p(0))
    lib.llama_backend_init()


def version():
    return f"llama-cpp-python {lib.__version__}: {lib.llama_print_system_info().decode().strip()}"


def quantize(source, target, kind):
    _start()
    params = lib.llama_model_quantize_default_params()
    params.ftype = getattr(lib, f"LLAMA_FTYPE_MOSTLY_{kind}")
    params.nthread = 0
    if lib.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(params)) != 0:
        raise RuntimeError(f"llama.cpp could not write {target}")


class Peer:
    """One model and one context, of `context` tokens for each of its sequences."""

    def __init__(self, path, threads=2, context=1024, batch=512, flash="auto", cache="F16", sequences=1):
        _start()
        self.model = lib.llama_model_load_from_file(str(path).encode(), lib.llama_model_default_params())
        if not self.model:
            raise RuntimeError(f"llama.cpp could not load {path}")
        params = lib.llama_context_default_params()
        params.n_ctx = context * sequences
        params.n_batch = params.n_ubatch = batch
        params.n_seq_max = sequences
        params.n_threads = params.n_threads_batch = threads
        params.flash_attn_type = FLASH[flash]
        params.type_k = params.type_v = {"F32": lib.GGML_TYPE_F32, "F16": lib.GGML_TYPE_F16}[cache]
        self.context = lib.llama_init_from_model(self.model, params)
        if not self.context:
            raise RuntimeError("llama.cpp could not make a context")
        self.vocab = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(self.model))
        self._batch = lib.llama_batch_init(batch, 0, 1)

    def close(self):
        lib.llama_batch_free(self._batch)
        lib.llama_free(self.context)
        lib.llama_model_free(self.model)

    def clear(self):
        lib.llama_memory_clear(lib.llama_get_memory(self.context), True)

    def decode(self, ids, start, every=False):
        """Computes `ids` at positions from `start`; logits of the last, or of `every` position."""
        batch = self._batch
        batch.n_tokens = len(ids)
        for i, token in enumerate(ids):
            batch.token[i], batch.pos[i] = int(token), start + i
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, 0
            batch.logits[i] = every or i + 1 == len(ids)
        if lib.llama_decode(self.context, batch) != 0:
            raise RuntimeError("llama_decode failed")
        lib.llama_synchronize(self.context)

    def logits(self, ids):
        """[len(ids), vocab] float32 of a fresh sequence computed at once."""
        self.clear()
        self.decode(ids, 0, every=True)
        return np.stack([self.logits_at(i) for i in range(len(ids))])

    def logits_at(self, index):
        return np.ctypeslib.as_array(lib.llama_get_logits_ith(self.context, index), shape=(self.vocab,)).copy()

    def tokenize(self, text):
        data = text.encode()
        ids = (lib.llama_token * (len(data) + 8))()
        count = lib.llama_tokenize(lib.llama_model_get_vocab(self.model), data, len(data), ids, len(ids), False, False)
        return list(ids[:count])

    def begin_of_text(self):
        return lib.llama_vocab_bos(lib.llama_model_get_vocab(self.model))


@contextmanager
def opened(*args, **kwargs):
    peer = Peer(*args, **kwargs)
    try:
        yield peer
    finally:
        peer.close()
