"""Session state that several screens share: the visit, the forms, uploads, and shared panels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.charts.card_picture import Form, Look
from core.records import Recipe, Run, Step
from core.workspace.inputs import PixelTrial
from pages.shared.field import Field, Linked, Pick


@dataclass(frozen=True, slots=True)
class Visit:
    """Who is here, what is looked at, and what screens hand to each other.

    Attributes:
        token: of the visitor, as in the cookie.
        admitted: whether the password was given.
        screen: that is shown.
        address: the run that the address named when the script last ran.
        run: that Optimize shows.
        notice: an error to say once.
        done: what went well, to say once.
        sent: a recipe sent to Optimize, with the run that holds it.
        watched: titles of the visitor's runs that go on, by id.
        ended: runs that ended while the visitor was here, as the badge tells of them.
    """

    token: Field[str] = Field("visitor", "")
    admitted: Field[bool] = Field("admitted", False)
    screen: Field[str] = Field("screen", "")
    address: Field[str] = Field("address", "")
    run: Linked = Linked("run", "", "run")
    notice: Field[str] = Field("notice", "")
    done: Field[str] = Field("done", "")
    sent: Field[tuple[Run, Recipe] | None] = Field("pending_recipe", None)
    watched: Field[Mapping[str, str]] = Field("running.watched", {})
    ended: Field[Sequence[Mapping[str, object]]] = Field("running.ended", ())


@dataclass(frozen=True, slots=True)
class Forms:
    """Where the forms stand: model, images, recipe, and on what it is measured.

    Attributes:
        filled_for: id of the run whose question they were set to, "left" or "start".
        loaded: whether the recipe was changed from outside its form.
        added: steps that a piece of advice, or another screen, adds to the recipe.
        data_model: digest of the model that the images were chosen for.
    """

    filled_for: Field[str] = Field("forms_of", "")
    loaded: Field[bool] = Field("recipe_loaded", False)
    added: Field[tuple[Step, ...]] = Field("recipe_added", ())
    model: Field[str | None] = Field("model", None)
    data_model: Field[str] = Field("data.model", "")
    calibration: Field[str] = Field("data.calibration", "")
    evaluation: Field[str] = Field("data.evaluation", "")
    backends: Field[Sequence[str]] = Field("measure.backends", ())
    threads: Field[Sequence[int]] = Field("measure.threads", ())
    images: Field[int] = Field("measure.images", 0)
    budget: Field[int] = Field("measure.budget", 12)

    def data(self, role: str) -> Field[str]:
        """Digest of the images for "calibration" or "evaluation"."""
        return self.calibration if role == "calibration" else self.evaluation

    def data_shown(self, role: str) -> Field[tuple[int, str] | None]:
        """How often the picker of a role was made anew, and what it shows."""
        return Field(f"shown.{role}", None)

    def data_picker(self, role: str, turn: int) -> Field[str]:
        """The picker of a role, made anew for the `turn`-th time."""
        return Field(f"pick.{role}.{turn}", "")

    def size(self, model: str, dim: str) -> Field[int | None]:
        """The size at which an open dimension of a model is measured."""
        return Field(f"measure.at.{model}.{dim}", None)

    def frozen_size(self, dim: str) -> Field[int]:
        """The size at which an open dimension is frozen."""
        return Field(f"freeze.{dim}", 1)

    def pixels(self, model: str, part: str = "") -> Field[Any]:
        """How pixels become the input of a model: the preset, or a part of one's own."""
        return Field(f"preprocess.{model}.{part}" if part else f"preprocess.{model}", None)

    def switch(self, pass_name: str) -> Field[bool]:
        """Whether the recipe holds a pass."""
        return Field(f"recipe.{pass_name}", False)

    def parameter(self, pass_name: str, parameter: str, default: Any = None) -> Field[Any]:
        """A parameter of a pass, as its widget holds it."""
        return Field(f"recipe.{pass_name}.{parameter}", default)

    def choice(self, family: str) -> Field[str]:
        """The plain choice of a family of passes that exclude each other."""
        return Field(f"recipe.family.{family}", "")

    def other_choice(self, family: str) -> Field[str | None]:
        """The choice of a family that does not stand in the row."""
        return Field(f"recipe.family.{family}.other", None)

    def aside(self, parameter: Field[Any]) -> Field[Any]:
        """The value of a parameter that comes back once there are images."""
        return Field(f"images.aside.{parameter.key}", None)

    def recipe_of(self, run: str) -> Field[str | None]:
        """Which of a run's recipes the form is to be set to."""
        return Field(f"recipe_of.{run}", None)

    def stops(self, slider: Field[Any]) -> Field[Sequence[float]]:
        """The values at which a slider stops; all of them if none."""
        return Field(f"snap.stops.{slider.key}", ())

    def before(self, slider: Field[Any]) -> Field[Any]:
        """The value that a slider had before it was moved."""
        return Field(f"snap.before.{slider.key}", None)

    def moved(self, slider: Field[Any]) -> Field[tuple[Any, Any]]:
        """Where a slider was let go, and the stop to which it went from there."""
        return Field(f"snap.moved.{slider.key}", (None, None))


@dataclass(frozen=True, slots=True)
class Uploads:
    """The way of a file in; each field by the kind of file, "model" or "data".

    Attributes:
        trouble: why an upload was not renamed or deleted, to say once.
    """

    trouble: Field[str] = Field("uploads.trouble", "")

    def sheet(self, kind: str) -> Field[bool]:
        """Whether the sheet around the upload is open."""
        return Field(f"sheet.{kind}", False)

    def closing(self, kind: str) -> Field[bool]:
        """Whether this run of the script closes the sheet."""
        return Field(f"close.{kind}", False)

    def file(self, kind: str) -> Field[Any]:
        """The uploader."""
        return Field(f"upload.{kind}", None)

    def last(self, kind: str) -> Field[tuple[str, str, str]]:
        """The last file: its id, its name, why it was refused ("" if it was not)."""
        return Field(f"uploaded.{kind}", ("", "", ""))

    def name(self, digest: str) -> Field[str]:
        """The name that an upload is to get."""
        return Field(f"rename.{digest}", "")

    def arrived(self, kind: str) -> Field[str]:
        """Digest of what was taken in and not looked at yet."""
        return Field(f"arrived.{kind}", "")

    def pending(self, kind: str) -> Field[str | None]:
        """Digest of what the next run of the script is to choose."""
        return Field(f"pending.{kind}", None)


@dataclass(frozen=True, slots=True)
class Panels:
    """What panels that several screens show stand at.

    Attributes:
        card_form: form of the result image: wide, square or tall.
        card_look: light or dark; as the page before one was chosen.
    """

    card_form: Field[Form] = Field("card.form", "wide")
    card_look: Field[Look | None] = Field("card.look", None)

    def download(self, run: str) -> Field[str]:
        """Digest of the candidate of a run that is looked at and offered."""
        return Field(f"download.{run}", "")

    def pixels_found(self, model: str) -> Field[tuple[PixelTrial, ...]]:
        """What labelled images told of the pixels of a model."""
        return Field(f"preprocess.found.{model}", ())

    def sensitivity_asked(self, model: str) -> Field[bool]:
        """Whether the cost of pruning each layer of a model was asked for."""
        return Field(f"sensitivity.asked.{model}", False)

    def sensitivity(self, about: str) -> Field[Pick | None]:
        """The chart of a pass, in which layers can be picked; or that of "pruning"."""
        return Field(f"sensitivity.{about}", None)

    def sensitivity_measure(self, about: str) -> Field[str]:
        """By which measure that chart is drawn."""
        return Field(f"sensitivity.{about}.measure", "")


@dataclass(frozen=True, slots=True)
class Book:
    """The recipes that the switches stood at, and those that are kept under names.

    Attributes:
        standing: the recipe at the last look; None before the first.
        past, future: what undo and redo go to, the nearest last.
        sheet: whether the list of kept recipes is open.
        chosen: name of the kept recipe that the buttons are about.
        name: under which a recipe is to be kept.
        new_name: that a kept recipe is to get.
        taken: the name that the visitor may replace; empty for none.
        renames: whether the field for another name is open.
        deleted: the kept recipe that was deleted last, to bring back.
        file: the uploader of a recipe's file.
        done: what went well, and `refused` what did not, to say above the list.
    """

    standing: Field[Recipe | None] = Field("book.standing", None)
    past: Field[tuple[Recipe, ...]] = Field("book.past", ())
    future: Field[tuple[Recipe, ...]] = Field("book.future", ())
    sheet: Field[bool] = Field("book.sheet", False)
    chosen: Field[str | None] = Field("book.chosen", None)
    name: Field[str] = Field("book.name", "")
    new_name: Field[str] = Field("book.new_name", "")
    taken: Field[str] = Field("book.taken", "")
    renames: Field[bool] = Field("book.renames", False)
    deleted: Field[Recipe | None] = Field("book.deleted", None)
    file: Field[Any] = Field("book.file", None)
    done: Field[str] = Field("book.done", "")
    refused: Field[str] = Field("book.refused", "")


visit, forms, uploads, panels, book = Visit(), Forms(), Uploads(), Panels(), Book()
