"""What clients ask for: the fields of each request, checked."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError, field_validator, model_validator

from maskadapter.models import PoolerName
from maskadapter.serve.refusals import Refusal
from maskadapter.serve.request_body import file_fields, last_part
from maskadapter.vocabulary import BACKGROUND, Vocabulary, competing_classes

_LONGEST_NAME = 200  # letters
_MOST_SHOWN = 100  # masks that show classes, in one request
_LISTS = "a built-in list such as ade20k-150"
ClassNames = str | list[str | list[str]]
Mode = Literal["panoptic", "semantic", "instances"]
Output = Literal["summary", "coco_rle", "polygon", "png"]
File = Annotated[bytes, Strict(), Field(json_schema_extra={"type": "string", "format": "base64"})]


class ImageRequest(BaseModel):
    """An image, to be encoded once for many requests."""

    model_config = ConfigDict(extra="forbid")

    image: File = Field(description="The bytes of an image file: in JSON in base64, in a form as a file.", min_length=1)
    file_name: str | None = Field(None, description="Comes back in the reply. It is not opened.", max_length=4096)


def _given(name: str) -> dict[str, Any]:
    return {"required": [name], "properties": {name: {"type": "string"}}}


class _OfAnImage(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"oneOf": [_given("image"), _given("image_id")]})

    image: File | None = Field(None, description="The bytes of an image file: in JSON in base64, in a form as a file.")
    image_id: str | None = Field(None, description="Instead of the image: its id of `POST /v1/images`.", max_length=100)
    file_name: str | None = Field(None, description="Of the image. It is not opened.", max_length=4096)
    classes: ClassNames = Field(
        description=f'Names such as "cat, sofa|couch", where | joins synonyms; {_LISTS}; or a list of names and of '
        "lists of synonyms. Text is never a file's name.",
    )
    output: Output = Field(
        "coco_rle",
        description="How masks come: coco_rle, COCO's compressed run lengths; polygon, COCO's polygons, where a seam "
        "leads to a hole; png, one image of segment ids for all; summary, none.",
    )
    top: int = Field(5, ge=0, le=2000, description="How many of its most probable classes each segment lists.")

    @model_validator(mode="after")
    def _one_image(self) -> "_OfAnImage":
        if (self.image is None) == (self.image_id is None):
            raise ValueError("give either image or image_id")
        if self.image is not None and not self.image:
            raise ValueError("image is empty")
        return self


class ShownMask(BaseModel):
    """A mask that shows a class."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="The class: one of `classes`, whose name counts as well, or a further one.")
    image_id: str = Field(description="The id of an image of `POST /v1/images`.", max_length=100)
    mask: Any = Field(description="COCO's run lengths or polygons at that image's size.")

    @field_validator("name")
    @classmethod
    def _one_name(cls, name: str) -> str:
        if not name.strip() or "|" in name or len(name) > _LONGEST_NAME:
            raise ValueError(f"a class name of 1 to {_LONGEST_NAME} letters without | is needed")
        return name.strip()


class SegmentRequest(_OfAnImage):
    """An image to segment into classes."""

    examples: list[ShownMask] = Field(
        [], max_length=_MOST_SHOWN, description='Masks that show classes: "this is a gizmo". In a form a list in JSON.'
    )

    things: str | list[str] | None = Field(
        None, description="Classes that are counted one by one (cat), all others being stuff (sky)."
    )
    background: ClassNames = Field(
        BACKGROUND,
        description="Classes that stand for the rest of the world: a pixel that one of them wins belongs to none of "
        "yours. none: every pixel gets one of your classes; auto: coco-stuff, and none for a built-in list.",
    )
    score: float = Field(0.0, ge=0, le=1, description="Segments with a lower score are left out.", allow_inf_nan=False)
    mode: Mode = Field(
        "panoptic",
        description="panoptic: segments that do not overlap, things one by one; semantic: the pixels of each class; "
        "instances: things alone, at most 100, which may overlap.",
    )


class ClassifyRequest(_OfAnImage):
    """Masks of an image to classify."""

    masks: File | list[Any] = Field(
        description="A list of COCO's run lengths or polygons at the image's size, at most as many as the service "
        "allows; in a form also a file: a label map or panoptic PNG, in which each value above 0 is a mask."
    )
    pooler: PoolerName | None = Field(
        None, description="How masks become embeddings: one of the two that `GET /v1/models` names; by default its own."
    )


Asked = TypeVar("Asked", bound=BaseModel)


def parsed(kind: type[Asked], fields: Mapping[str, Any]) -> Asked:
    """The request in some fields. Raises Refusal, 422, with the first mistake."""
    if truth := next((name for name, value in fields.items() if isinstance(value, bool)), None):
        raise Refusal(422, f"{truth:.60}: no field is true or false")  # pydantic would take them for 1 and 0
    try:
        asked = kind.model_validate(file_fields(fields))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"] if isinstance(part, str) or part < 1_000_000)
        raise Refusal(422, f"{place}: {first['msg']}" if place else first["msg"]) from None
    return asked


def shown_name(file_name: str | None) -> str | None:
    """The name of an image's file as the reply has it."""
    return (file_name and last_part(file_name)) or None


def vocabulary_of(classes: ClassNames, things: str | list[str] | None, most: int) -> Vocabulary:
    """The classes that a client names. most: names that it may give, with synonyms. Raises VocabularyError; Refusal,
    422, for more."""
    vocabulary = Vocabulary.of_names(classes, things)
    if vocabulary.name is None:
        if (count := len(vocabulary.synonyms)) > most:
            raise Refusal(422, f"{count:,} class names came: at most {most:,} are taken, or a built-in list")
        if (longest := max(map(len, vocabulary.synonyms))) > _LONGEST_NAME:
            raise Refusal(422, f"a class name has {longest:,} letters: at most {_LONGEST_NAME} are taken")
    return vocabulary


def background_of(background: ClassNames, vocabulary: Vocabulary, most: int) -> Vocabulary | None:
    """The classes that compete with ``vocabulary``; None for none. Raises as ``vocabulary_of``."""
    word = background.strip().lower() if isinstance(background, str) else None
    given = word if word in (BACKGROUND, "none") else vocabulary_of(background, None, most)
    found: Vocabulary | None = competing_classes(vocabulary, given)
    return found
