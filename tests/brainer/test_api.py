"""The app answers the same on both databases, also where SQLite alone would take anything."""

from typing import Any

import httpx
import pytest

COURSE = {"slug": "algebra", "title": "Algebra"}


def create(brainer: httpx.Client, what: str, **values: Any) -> dict[str, Any]:
    answer = brainer.post(f"/api/{what}", json=values)
    assert answer.status_code == 201, answer.text
    return answer.json()


def a_tree(brainer: httpx.Client) -> dict[str, dict[str, Any]]:
    course = create(brainer, "courses", **COURSE)
    part = create(brainer, "parts", course_id=course["id"], position=0, title="One")
    chapter = create(brainer, "chapters", part_id=part["id"], title="Groups")
    exercise = create(brainer, "exercises", chapter_id=chapter["id"], question="Prove it.")
    return {"courses": course, "parts": part, "chapters": chapter, "exercises": exercise}


def test_health_names_the_database(brainer: httpx.Client, request: pytest.FixtureRequest) -> None:
    expected = "postgresql" if "postgres" in request.node.name else "sqlite"
    assert brainer.get("/health").json() == {"status": "ok", "database": expected}


def test_every_value_comes_back_as_it_went_in(brainer: httpx.Client) -> None:
    chapter = a_tree(brainer)["chapters"]
    values = {
        "chapter_id": chapter["id"],
        "question": "tab\t, line\r\nbreak, \\N, \"'%s, ñ 漢 🧠",
        "hint": "",
        "content": {"z": [1, 1.0, True, None, 1e300, 2**60], "a": {"": "\x00 and 🧠"}},
        "points": 2**31 - 1,
        "difficulty": 0.1,
        "is_active": False,
        "due_at": "2024-02-29T12:00:00.000001",
    }
    created = create(brainer, "exercises", **values)
    assert {field: created[field] for field in values} == values
    assert brainer.get(f"/api/exercises/{created['id']}").json() == created
    assert created in brainer.get("/api/exercises").json()


def test_defaults(brainer: httpx.Client) -> None:
    exercise = a_tree(brainer)["exercises"]
    assert (exercise["points"], exercise["is_active"], exercise["hint"]) == (1, True, None)
    assert exercise["created_at"]
    assert exercise["updated_at"] is None


def test_times_with_an_offset_become_utc(brainer: httpx.Client) -> None:
    url = f"/api/exercises/{a_tree(brainer)['exercises']['id']}"
    answer = brainer.patch(url, json={"due_at": "2024-03-31T02:30:00.5+02:00"})
    assert answer.json()["due_at"] == "2024-03-31T00:30:00.500000"


def test_patch_changes_one_field_put_replaces_all_delete_removes(brainer: httpx.Client) -> None:
    # children first: deleting a parent would take them along
    for what, row in reversed(a_tree(brainer).items()):
        url = f"/api/{what}/{row['id']}"
        field = "question" if what == "exercises" else "title"

        patched = brainer.patch(url, json={field: "new"}).json()
        assert {**patched, "updated_at": None} == {**row, field: "new", "updated_at": None}, what
        if "updated_at" in row:
            assert patched["updated_at"] > row["created_at"], what

        assert brainer.put(url, json={field: "only this"}).status_code == 422, what
        assert brainer.put(url, json={**row, field: "newer"}).json()[field] == "newer", what

        assert brainer.delete(url).status_code == 204, what
        for answer in (brainer.get(url), brainer.delete(url), brainer.patch(url, json={})):
            assert answer.status_code == 404, what


def test_lists_are_paged_in_order_of_id(brainer: httpx.Client) -> None:
    ids = [create(brainer, "courses", slug=f"c-{i}", title="x")["id"] for i in range(5)]
    brainer.patch(f"/api/courses/{ids[0]}", json={"title": "moves a row in PostgreSQL's table"})
    pages = [brainer.get("/api/courses", params={"skip": s, "limit": 2}).json() for s in (0, 2, 4)]
    assert [[course["id"] for course in page] for page in pages] == [ids[:2], ids[2:4], ids[4:]]
    assert brainer.get("/api/courses?limit=1001").status_code == 422


def test_deleting_a_course_takes_everything_under_it_along(brainer: httpx.Client) -> None:
    brainer.delete(f"/api/courses/{a_tree(brainer)['courses']['id']}")
    for what in ("courses", "parts", "chapters", "exercises"):
        assert brainer.get(f"/api/{what}").json() == [], what


def test_the_id_of_a_deleted_exercise_is_never_given_again(brainer: httpx.Client) -> None:
    tree = a_tree(brainer)
    brainer.delete(f"/api/exercises/{tree['exercises']['id']}")
    again = create(brainer, "exercises", chapter_id=tree["chapters"]["id"], question="Another")
    assert again["id"] > tree["exercises"]["id"]


def test_conflicts_are_409_and_leave_the_app_usable(brainer: httpx.Client) -> None:
    tree = a_tree(brainer)
    same_place = {"course_id": tree["courses"]["id"], "position": 0, "title": "Two"}
    orphan = {"chapter_id": 4711, "question": "of no chapter"}
    assert brainer.post("/api/courses", json=COURSE).status_code == 409
    assert brainer.post("/api/parts", json=same_place).status_code == 409
    assert brainer.post("/api/exercises", json=orphan).status_code == 409
    create(brainer, "courses", slug="another", title="x")


def test_what_postgresql_would_refuse_is_422_on_both(brainer: httpx.Client) -> None:
    exercise = a_tree(brainer)["exercises"]
    url = f"/api/exercises/{exercise['id']}"
    for wrong in (
        {"question": "nul \x00"},
        {"points": -1},
        {"points": 2**31},
        {"chapter_id": 2**40},
        {"due_at": "soon"},
    ):
        assert brainer.patch(url, json=wrong).status_code == 422, wrong
    assert brainer.get(url).json() == exercise
    assert brainer.get(f"/api/exercises/{2**70}").status_code == 422
    for body in ('{"slug": "a", "title": "x", "content": [NaN]}', '{"slug": "a", "title": NaN}'):
        assert brainer.post("/api/courses", content=body).status_code == 422, body


def test_titles_are_limited_in_characters_not_bytes(brainer: httpx.Client) -> None:
    assert brainer.post("/api/courses", json={**COURSE, "title": "漢" * 201}).status_code == 422
    create(brainer, "courses", slug="long", title="漢" * 200)
