"""Ops on the bits of integers; on booleans `&`, `|`, `^` and `~` are the logical ones. Floats have no bits here.

Imports `elementwise`.
"""

import numpy as np

from minigrad.ops.elementwise import elementwise

bitwise_and = elementwise(
    "bitwise_and", np.bitwise_and, loop="{t}({0} & {1})", sample=[(-9, 9), (-9, 9)], result="integer", booleans="bool"
)
bitwise_or = elementwise(
    "bitwise_or", np.bitwise_or, loop="{t}({0} | {1})", sample=[(-9, 9), (-9, 9)], result="integer", booleans="bool"
)
bitwise_xor = elementwise(
    "bitwise_xor", np.bitwise_xor, loop="{t}({0} ^ {1})", sample=[(-9, 9), (-9, 9)], result="integer", booleans="bool"
)
bitwise_invert = elementwise(
    "bitwise_invert", np.invert, loop="{t}(~{0})", sample=[(-9, 9)], result="integer", booleans="bool"
)
bitwise_left_shift = elementwise(  # past the last bit there is 0, or the sign
    "bitwise_left_shift",
    np.left_shift,
    loop="{t}({0} << {1} if {1} < {t}({f}) else {t}(0))",
    sample=[(-9, 9), (0, 70)],
    result="integer",
)
bitwise_right_shift = elementwise(
    "bitwise_right_shift",
    np.right_shift,
    loop="{t}({0} >> {1} if {1} < {t}({f}) else {t}(-1) if {0} < {t}(0) else {t}(0))",
    sample=[(-9, 9), (0, 70)],
    result="integer",
)
