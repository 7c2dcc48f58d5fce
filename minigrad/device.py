"""Where arrays live. A device copies data in and out; today there is one, the CPU.

Imports `errors` only.
"""

from minigrad.errors import DeviceError

DEVICES = ("cpu",)


def check_device(name: str | None) -> str:
    """Return the device's name; `None` is the CPU.

    Raises:
        DeviceError: if minigrad cannot compute there.
    """
    if name is None or name in DEVICES:
        return name or "cpu"
    raise DeviceError(
        f"minigrad cannot compute on device {name!r}; it has: {', '.join(DEVICES)}."
        " Leave device out, or use device='cpu'."
    )
