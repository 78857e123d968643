"""Course > Part > Chapter > Exercise."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Float,
    ForeignKey,
    String,
    Text,
    UniqueConstraint,
    func,
    true,
)
from sqlalchemy.orm import Mapped, mapped_column

from api.database import Base


def utc_now() -> datetime:
    """Naive UTC: what SQLite can hold, and PostgreSQL's ``timestamp`` holds the same."""
    return datetime.now(UTC).replace(tzinfo=None)


class Course(Base):
    __tablename__ = "courses"

    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(String(120), unique=True)
    title: Mapped[str] = mapped_column(String(200))
    description: Mapped[str | None] = mapped_column(Text)
    price: Mapped[float | None] = mapped_column(Float)
    is_published: Mapped[bool] = mapped_column(default=False)
    content: Mapped[Any] = mapped_column(JSON, default=dict)
    # Two defaults: Python's has microseconds; the server's serves rows written by hand.
    created_at: Mapped[datetime] = mapped_column(default=utc_now, server_default=func.now())
    updated_at: Mapped[datetime | None] = mapped_column(onupdate=utc_now)


class Part(Base):
    __tablename__ = "parts"
    __table_args__ = (
        UniqueConstraint("course_id", "position", name="uq_parts_course_id_position"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    course_id: Mapped[int] = mapped_column(ForeignKey("courses.id", ondelete="CASCADE"), index=True)
    position: Mapped[int]
    title: Mapped[str] = mapped_column(String(200))
    is_optional: Mapped[bool | None]
    created_at: Mapped[datetime] = mapped_column(default=utc_now, server_default=func.now())


class Chapter(Base):
    __tablename__ = "chapters"

    id: Mapped[int] = mapped_column(primary_key=True)
    part_id: Mapped[int] = mapped_column(ForeignKey("parts.id", ondelete="CASCADE"), index=True)
    title: Mapped[str] = mapped_column(String(200))
    summary: Mapped[str | None] = mapped_column(Text)
    content: Mapped[Any] = mapped_column(JSON, default=dict)
    minutes: Mapped[float | None] = mapped_column(Float)
    created_at: Mapped[datetime] = mapped_column(default=utc_now, server_default=func.now())
    updated_at: Mapped[datetime | None] = mapped_column(onupdate=utc_now)


class Exercise(Base):
    __tablename__ = "exercises"
    __table_args__ = (
        CheckConstraint("points >= 0", name="ck_exercises_points"),
        # Learners bookmark exercises: the id of a deleted one must never come back as another
        # one. PostgreSQL's sequences always work like this, SQLite only with AUTOINCREMENT.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    chapter_id: Mapped[int] = mapped_column(
        ForeignKey("chapters.id", ondelete="CASCADE"), index=True
    )
    question: Mapped[str] = mapped_column(Text)
    hint: Mapped[str | None] = mapped_column(Text)
    content: Mapped[Any | None] = mapped_column(JSON)
    points: Mapped[int] = mapped_column(default=1, server_default="1")
    difficulty: Mapped[float | None] = mapped_column(Float)
    is_active: Mapped[bool] = mapped_column(default=True, server_default=true())
    due_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=utc_now, server_default=func.now())
    updated_at: Mapped[datetime | None] = mapped_column(onupdate=utc_now)
