"""Numba at the last version whose code calls Intel's vector functions (SVML); its vectors are as wide as LLVM prefers."""

from peer_numba import ROWS, THREADED, bind

ENVIRONMENT = "svml"
# The pair of Numba and llvmlite whose wheels can use SVML, and the package with SVML itself.
PACKAGES = ["numpy==2.2.6", "scipy==1.17.1", "numba==0.61.2", "llvmlite==0.44.0", "intel-cmplr-lib-rt==2026.2.0"]
