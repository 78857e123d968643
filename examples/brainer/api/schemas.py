"""What the API takes (``…In``) and gives (``…Out``).

SQLite stores whatever it is given: 300 characters in a VARCHAR(200), 2^40 in an INTEGER. PostgreSQL
refuses. So the limits are checked here, and the API answers the same on both.
"""

import json
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

INTEGER_MAX = 2**31 - 1


def without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("text must not contain the character U+0000")
    return text


def standard_json(value: Any) -> Any:
    json.dumps(value, allow_nan=False)  # NaN is Python's idea; PostgreSQL's json refuses it
    return value


def naive_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


LongText = Annotated[str, AfterValidator(without_nul)]
Title = Annotated[LongText, Field(max_length=200)]
Slug = Annotated[str, Field(max_length=120, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Id = Annotated[int, Field(ge=1, le=INTEGER_MAX)]
Count = Annotated[int, Field(ge=0, le=INTEGER_MAX)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Json = Annotated[Any, AfterValidator(standard_json)]
Moment = Annotated[datetime, AfterValidator(naive_utc)]


class Out(BaseModel):
    """What the database adds to every row."""

    model_config = ConfigDict(from_attributes=True)
    id: int
    created_at: datetime


class CourseIn(BaseModel):
    slug: Slug
    title: Title
    description: LongText | None = None
    price: Number | None = None
    is_published: bool = False
    content: Json = Field(default_factory=dict)


class CourseOut(CourseIn, Out):
    updated_at: datetime | None


class PartIn(BaseModel):
    course_id: Id
    position: Count
    title: Title
    is_optional: bool | None = None


class PartOut(PartIn, Out):
    pass


class ChapterIn(BaseModel):
    part_id: Id
    title: Title
    summary: LongText | None = None
    content: Json = Field(default_factory=dict)
    minutes: Number | None = None


class ChapterOut(ChapterIn, Out):
    updated_at: datetime | None


class ExerciseIn(BaseModel):
    chapter_id: Id
    question: LongText
    hint: LongText | None = None
    content: Json | None = None
    points: Count = 1
    difficulty: Number | None = None
    is_active: bool = True
    due_at: Moment | None = None


class ExerciseOut(ExerciseIn, Out):
    updated_at: datetime | None
