"""The GPU's int8 kernel, run by Triton's interpreter where there is no GPU."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

CODE = """
import torch
from aix_lsp.engine.rounding import dequantize8, quantize8
from aix_lsp.engine.triton_int8 import few_rows

torch.manual_seed(0)
for outputs, inputs in ((64, 256), (40, 320), (17, 100)):
    codes, scale = quantize8(torch.randn(outputs, inputs))
    codes, scale = codes.to(DEVICE), scale.to(DEVICE)
    for count in (1, 3, 16):
        rows = torch.randn(count, inputs, dtype=DTYPE, device=DEVICE)
        wanted = rows.float() @ dequantize8(codes, scale.float()).T
        given = few_rows(rows, codes, scale)
        assert given.dtype == DTYPE and given.shape == (count, outputs)
        assert (given.float() - wanted).abs().max() <= 0.01 * wanted.abs().max(), (outputs, inputs, count)
print("equal")
"""


def test_few_rows_times_codes_is_what_plain_arithmetic_says() -> None:
    pytest.importorskip("triton", reason="Triton comes with PyTorch's GPU builds")
    on_gpu = torch.cuda.is_available()
    # The interpreter's products are wrong in bfloat16.
    device, dtype = ("cuda", "torch.bfloat16") if on_gpu else ("cpu", "torch.float16")
    environment = {} if on_gpu else {"TRITON_INTERPRET": "1"}
    done = subprocess.run(
        [sys.executable, "-c", CODE.replace("DEVICE", repr(device)).replace("DTYPE", dtype)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=os.environ | environment,
    )
    assert (done.returncode, done.stdout) == (0, "equal\n"), done.stderr
