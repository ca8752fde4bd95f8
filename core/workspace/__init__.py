"""The workspace: the only door through which pages and the command line use the core.

Five rooms: `models`, `data`, `recipes`, `runs` and `insights`. Beside them lie the words that forms
and commands are made of: `passes` (the catalogue and its parameters), `inputs` (sizes and
preprocessing) and `facts` (metrics and backends).
"""

from core.devices.local import Child
from core.workspace.workspace import Workspace

__all__ = ["Child", "Workspace"]
