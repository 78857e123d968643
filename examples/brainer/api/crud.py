"""The five verbs every table of Brainer offers, written once."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, HTTPException, Path, Query
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.database import Base, get_db
from api.schemas import INTEGER_MAX

Db = Annotated[Session, Depends(get_db)]
RowId = Annotated[int, Path(ge=1, le=INTEGER_MAX)]


def crud_router(model: type[Base], In: type[BaseModel], Out: type[BaseModel]) -> APIRouter:
    name = model.__tablename__
    router = APIRouter(prefix=f"/api/{name}", tags=[name])

    def find(db: Session, row_id: int) -> Any:
        row = db.get(model, row_id)
        if row is None:
            raise HTTPException(404, f"no {model.__name__.lower()} has id {row_id}")
        return row

    def write(db: Session, row: Any, values: BaseModel) -> Any:
        for field, value in values.model_dump().items():
            setattr(row, field, value)
        db.add(row)
        db.commit()
        return row

    @router.get("", response_model=list[Out])
    def list_rows(
        db: Db,
        skip: Annotated[int, Query(ge=0, le=INTEGER_MAX)] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> Any:
        # ordered, or two pages may show the same row: PostgreSQL promises no order by itself
        return db.scalars(select(model).order_by(model.id).offset(skip).limit(limit)).all()

    @router.post("", response_model=Out, status_code=201)
    def create_row(db: Db, values: In) -> Any:
        return write(db, model(), values)

    @router.get("/{row_id}", response_model=Out)
    def get_row(db: Db, row_id: RowId) -> Any:
        return find(db, row_id)

    @router.put("/{row_id}", response_model=Out)
    def replace_row(db: Db, row_id: RowId, values: In) -> Any:
        return write(db, find(db, row_id), values)

    @router.patch("/{row_id}", response_model=Out)
    def update_row(db: Db, row_id: RowId, changes: Annotated[dict[str, Any], Body()]) -> Any:
        row = find(db, row_id)
        current = {field: getattr(row, field) for field in In.model_fields}
        try:
            values = In.model_validate(current | changes)
        except ValidationError as error:
            raise RequestValidationError(error.errors()) from None
        return write(db, row, values)

    @router.delete("/{row_id}", status_code=204)
    def delete_row(db: Db, row_id: RowId) -> None:
        db.delete(find(db, row_id))  # what hangs on it goes by ON DELETE CASCADE
        db.commit()

    return router
