"""PyTorch threads sleep while they wait, as in the workshop: spinning starves a busy machine."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
