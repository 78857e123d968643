"""Brainer's API: ``uvicorn api.main:app``."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from api import models, schemas
from api.crud import crud_router
from api.database import Base, engine

log = logging.getLogger("uvicorn.error")


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    Base.metadata.create_all(engine)
    yield
    engine.dispose()


app = FastAPI(title="Brainer", version="1.0.0", lifespan=lifespan)
app.include_router(crud_router(models.Course, schemas.CourseIn, schemas.CourseOut))
app.include_router(crud_router(models.Part, schemas.PartIn, schemas.PartOut))
app.include_router(crud_router(models.Chapter, schemas.ChapterIn, schemas.ChapterOut))
app.include_router(crud_router(models.Exercise, schemas.ExerciseIn, schemas.ExerciseOut))


@app.exception_handler(IntegrityError)
def conflict(_request: Request, _error: IntegrityError) -> JSONResponse:
    """A slug that is taken, a parent that is not there: both databases say so by this error."""
    return JSONResponse({"detail": "conflicts with what the database holds"}, 409)


@app.exception_handler(RequestValidationError)
def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
    """Where and why, without the value: an echoed NaN could not even be sent as JSON."""
    problems = [{"loc": problem["loc"], "msg": problem["msg"]} for problem in error.errors()]
    return JSONResponse({"detail": problems}, 422)


@app.get("/health")
def health() -> JSONResponse:
    """Healthy means that the database answers, not just that this process runs."""
    database = engine.dialect.name
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        # to the log only, and without the URL: this answer is public
        log.error("health: %s: %s", database, getattr(error, "orig", None) or error)
        return JSONResponse({"status": "error", "database": database}, 503)
    return JSONResponse({"status": "ok", "database": database})
