"""Answers the benchmark with FAISS: one request in JSON a line, one answer a line. One thread, one query at a time."""

import json
import sys
import time

import faiss
import numpy as np

faiss.omp_set_num_threads(1)
indexes = {}
vectors = queries = None


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def load(request):
    global vectors, queries
    everything = np.fromfile(request["file"], dtype=np.float32).reshape(-1, request["dimensions"])
    vectors, queries = everything[: -request["queries"]], everything[-request["queries"] :]
    return {"version": faiss.__version__, "threads": faiss.omp_get_max_threads()}


def add(request):
    before = resident()
    dimensions = vectors.shape[1]
    if request["index"] == "flat":
        index = faiss.IndexFlatL2(dimensions)
    else:
        index = faiss.IndexHNSWFlat(dimensions, request["m"])
        index.hnsw.efConstruction = request["expansion"]
    start = time.perf_counter()
    index.add(vectors)
    seconds = time.perf_counter() - start
    indexes[request["index"]] = index
    return {"seconds": seconds, "bytes": resident() - before}


def search(request):
    index = indexes[request["index"]]
    if "candidates" in request:
        index.hnsw.efSearch = request["candidates"]
    milliseconds, found = [], []
    for place in range(len(queries)):
        query = queries[place : place + 1]
        start = time.perf_counter()
        _, ids = index.search(query, request["k"])
        milliseconds.append((time.perf_counter() - start) * 1e3)
        found.append(ids[0].tolist())
    return {"milliseconds": milliseconds, "found": found}


def save(request):
    start = time.perf_counter()
    faiss.write_index(indexes[request["index"]], request["file"])
    saved = time.perf_counter()
    faiss.read_index(request["file"])
    return {"save": saved - start, "load": time.perf_counter() - saved}


for line in sys.stdin:
    request = json.loads(line)
    print(json.dumps({"load": load, "add": add, "search": search, "save": save}[request["do"]](request)), flush=True)
