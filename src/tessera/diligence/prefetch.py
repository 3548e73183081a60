"""Asking for memory before it is needed, from within a compiled loop.

A loop over millions of transfers touches the rows of two holders each time, and waits for memory
half of its time. Who asks some transfers ahead waits for little of it.
"""

from __future__ import annotations

from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

__all__ = ["fetch"]

_TO_WRITE: Final = 1
_KEEP: Final = 3
_DATA: Final = 1

# Neither is typed.
_array: Any = make_array
_build: Any = cgutils


def _signature(typing: Any, array: Any, row: Any) -> Any:
    """Type `fetch(array, row)` for a matrix, and emit LLVM's `prefetch` of the row's beginning.

    It reads nothing and cannot fail, whatever the row.
    """

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        held = _array(kind)(context, builder, arguments[0])
        zero = context.get_constant(types.intp, 0)
        place = _build.get_item_pointer(context, builder, kind, held, [arguments[1], zero])
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        prefetch = _build.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [byte, word, word, word]),
            "llvm.prefetch.p0",
        )
        how = [word(_TO_WRITE), word(_KEEP), word(_DATA)]
        builder.call(prefetch, [builder.bitcast(place, byte), *how])
        return context.get_dummy_value()

    return types.void(array, types.intp), emit


fetch: Any = intrinsic(_signature)
"""`fetch(matrix, row)`, for compiled functions only."""
