"""Turns lists of texts (JSON, one a line) into vectors with sentence-transformers: reference.py CHECKPOINT THREADS"""

import json
import sys
import time

import torch
from sentence_transformers import SentenceTransformer

torch.set_num_threads(int(sys.argv[2]))
model = SentenceTransformer(sys.argv[1], device="cpu")
for line in sys.stdin:
    texts = json.loads(line)
    start = time.perf_counter()
    vectors = model.encode(texts, batch_size=64, normalize_embeddings=True, show_progress_bar=False)
    milliseconds = (time.perf_counter() - start) * 1000
    print(json.dumps({"milliseconds": milliseconds, "vectors": vectors.tolist()}), flush=True)
