"""Numba with SVML and vectors of 512 bits where the processor has them: the strongest Numba there is."""

import os

import llvmlite.binding

# Before the import of Numba, which reads them. The model named is one for which LLVM makes 512-bit code; the features are
# those of this machine, so that on one without AVX-512 none is made.
FEATURES = llvmlite.binding.get_host_cpu_features().flatten()
os.environ["NUMBA_CPU_NAME"] = "sapphirerapids"
os.environ["NUMBA_CPU_FEATURES"] = FEATURES + ",-prefer-256-bit"

from peer_numba import ROWS, THREADED, bind

ENVIRONMENT = "svml"
PACKAGES = ["numpy==2.2.6", "scipy==1.17.1", "numba==0.61.2", "llvmlite==0.44.0", "intel-cmplr-lib-rt==2026.2.0"]
