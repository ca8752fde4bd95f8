"""How any child process of Lathe is started, limited, asked and ended."""

from core.devices.local.device import LocalDevice
from core.devices.local.launch import Child
from core.devices.local.limits import Limits
from core.devices.local.scratch import Scratch
from core.devices.local.wire import Progress, serve

DEVICE = LocalDevice()

__all__ = ["DEVICE", "Child", "Limits", "Progress", "Scratch", "serve"]
