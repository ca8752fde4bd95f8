"""How any child process of Lathe is started, limited, asked and ended."""

from core.process.launch import Child
from core.process.limits import Limits
from core.process.scratch import Scratch
from core.process.wire import Progress, serve

__all__ = ["Child", "Limits", "Progress", "Scratch", "serve"]
