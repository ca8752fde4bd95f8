"""What passes can do without calibration images, or with too few: offered, used and said."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core.workspace.passes import Parameter, Pass
from pages.shared.field import Field
from pages.shared.state import forms


def say(kind: type[Pass], images: int | None) -> None:
    """What a pass loses with so many images; None if that is a matter of the run shown."""
    if images is None:
        return
    if images == 0 and kind.without_images:
        st.warning(kind.without_images, icon=":material/image_not_supported:")
    elif 0 < images < kind.few_images:
        st.warning(
            f"Only {images} calibration image{'s' if images > 1 else ''}: {kind.with_few_images}"
        )


def settle(value: Field[Any], about: Parameter, images: int | None) -> None:
    """Put a value that needs images aside while there are none, and back when there are."""
    aside = forms.aside(value)
    if images == 0 and value.get() in about.needs_images:
        aside.set(value.get())
        value.set(_without(value.get(), about))
    elif images and aside.is_set():
        value.set(aside.take())


def offered(about: Parameter, images: int | None) -> tuple[str, ...]:
    """The choices that can be used."""
    if images != 0:
        return about.choices
    return tuple(choice for choice in about.choices if choice not in about.needs_images)


def is_locked(about: Parameter, images: int | None) -> bool:
    """Whether a switch has only one position without images."""
    return images == 0 and not about.choices and bool(about.needs_images)


def _without(value: Any, about: Parameter) -> Any:
    return not value if isinstance(value, bool) else offered(about, 0)[0]
