import os

os.environ.setdefault("NUMBA_OPT", "0")  # UMAP compiles for twice as long otherwise; read when numba is first imported
