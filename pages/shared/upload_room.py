"""How large a file may be uploaded: what the server takes, and what disk and memory have left."""

from __future__ import annotations

import streamlit as st

from core.records.stored import UNBOUNDED, Room
from pages.shared import formatting

DISK_SHARE = 3  # the upload, the model kept from it, and a first candidate
MEMORY_SHARE = 3.5  # the server holds the upload whole; reading it takes up to 2.5 times its size


def most_bytes(room: Room) -> int:
    """The largest file that can be taken in now."""
    free = (room.disk // DISK_SHARE, int(room.memory / MEMORY_SHARE))
    return max(0, min(limit(), *free, room.upload, room.quota - room.used, room.shared))


def limit() -> int:
    """The largest file that the server takes, whatever is free."""
    return int(st.get_option("server.maxUploadSize") or 200) << 20


def words(room: Room, most: int) -> str:
    """What may be uploaded, and why no more."""
    words = f"Up to {formatting.size(most)}."
    if most < limit():
        words += (
            f" Free here: disk {formatting.size(room.disk)}, memory {formatting.size(room.memory)}."
        )
    if room.used and room.quota < UNBOUNDED:
        words += f" Your uploads take {formatting.size(room.used)} of {formatting.size(room.quota)}"
        words += "; delete some under Runs."
    if room.shared < room.quota - room.used:
        words += f" All visitors together have {formatting.size(room.shared)} left."
    return words
