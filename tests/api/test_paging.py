"""Listings that neither repeat nor lose a row, whatever happens to them while they are read."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from up42_pipelines.api import Sort
from up42_pipelines.api.paging import PAGE_SIZE, linked_pages, listing, next_link, spring_pages
from up42_pipelines.api.paging import given as given_filters
from up42_pipelines.errors import NotFound, UnexpectedAnswer

QUICK = settings(derandomize=True, max_examples=150, deadline=None, database=None)


class Rows:
    """A Spring listing that changes before each page but the first: `changes` are functions of the rows."""

    def __init__(self, rows, changes=(), *, says=("totalPages", "totalElements")) -> None:
        self.rows, self._changes, self._says, self.asked = list(rows), list(changes), says, []

    def fetch(self, page):
        if self.asked and self._changes:
            self.rows = self._changes.pop(0)(self.rows)
        self.asked.append(dict(page))
        begin = page["page"] * page["size"]
        totals = {"totalPages": math.ceil(len(self.rows) / page["size"]), "totalElements": len(self.rows)}
        return {
            "content": self.rows[begin : begin + page["size"]],
            **{name: total for name, total in totals.items() if name in self._says},
        }


def rows(*names):
    return [{"id": str(name)} for name in names]


def ids(found):
    return [row["id"] for row in found]


NO_ROWS = [{}, {"message": "maintenance"}, {"data": {"content": rows(1)}, "error": None}, {"content": None}]


class TestSpringPages:
    def test_asks_for_the_documented_pages(self):
        there = Rows(rows(*range(250)))
        assert list(spring_pages(there.fetch)) == there.rows
        assert there.asked == [{"page": page, "size": PAGE_SIZE} for page in range(3)]

    def test_a_full_last_page_costs_no_further_request(self):
        there = Rows(rows(*range(6)))
        assert len(list(spring_pages(there.fetch, size=3))) == 6
        assert len(there.asked) == 2

    def test_is_lazy(self):
        there = Rows(rows(*range(9)))
        pages = spring_pages(there.fetch, size=3)
        assert there.asked == []
        assert [next(pages)["id"] for _ in range(3)] == ["0", "1", "2"]
        assert len(there.asked) == 1
        assert next(pages)["id"] == "3"
        assert len(there.asked) == 2

    @pytest.mark.parametrize("says", [("totalPages", "totalElements"), ("totalPages",)])
    @QUICK
    @given(
        there=st.integers(0, 12),
        arriving=st.lists(st.integers(0, 4), max_size=6),
        size=st.integers(1, 5),
        data=st.data(),
    )
    def test_rows_that_arrive_neither_hide_nor_double_others(self, says, there, arriving, size, data):
        def arrive(turn, count):
            begin = data.draw(st.integers(0, there))
            new = rows(*(f"new{turn}.{number}" for number in range(count)))
            return lambda now: [*now[:begin], *new, *now[begin:]]

        before = rows(*range(there))
        listed = Rows(before, [arrive(*turn) for turn in enumerate(arriving)], says=says)
        found = list(spring_pages(listed.fetch, size=size))
        assert [row for row in found if row in before] == before
        assert len(set(ids(found))) == len(found)

    @QUICK
    @given(there=st.integers(0, 12), size=st.integers(1, 5), leaving=st.lists(st.integers(0, 11), max_size=4))
    def test_rows_that_leave_hide_no_others(self, there, size, leaving):
        """As they leave a listing of a status, when their status changes."""

        def leave(number):
            return lambda now: [row for row in now if row["id"] != str(number)]

        listed = Rows(rows(*range(there)), [leave(number) for number in leaving])
        found = ids(spring_pages(listed.fetch, size=size))
        assert set(ids(rows(*(number for number in range(there) if number not in leaving)))) <= set(found)
        assert len(set(found)) == len(found)

    @QUICK
    @given(
        there=st.integers(0, 12),
        size=st.integers(1, 5),
        changes=st.lists(st.tuples(st.integers(0, 4), st.sets(st.integers(0, 11), max_size=4)), max_size=4),
    )
    def test_newest_first_nothing_is_missed_when_rows_arrive_and_leave_at_once(self, there, size, changes):
        """New rows come first. Then a row moves up to a page that was read only when more leave than arrive: it shows.

        Oldest first, what arrives at the end would make up for what leaves, and nobody could notice.
        """

        def change(turn, count, leaving):
            new, gone = rows(*(f"new{turn}.{number}" for number in range(count))), rows(*leaving)
            return lambda now: [*new, *(row for row in now if row not in gone)]

        listed = Rows(rows(*range(there)), [change(turn, *one) for turn, one in enumerate(changes)])
        found = ids(spring_pages(listed.fetch, size=size))
        left = {number for _, leaving in changes for number in leaving}
        assert {str(number) for number in range(there) if number not in left} <= set(found)
        assert len(set(found)) == len(found)

    def test_what_left_costs_a_second_reading_and_no_third(self):
        listed = Rows(rows(*range(6)), [lambda now: now[1:]])
        assert ids(spring_pages(listed.fetch, size=3)) == ["0", "1", "2", "4", "5", "3"]
        assert [page["page"] for page in listed.asked] == [0, 1, 0, 1]

    def test_a_list_that_keeps_shrinking_is_given_up_after_some_readings(self):
        listed = Rows(rows(*range(100)), [lambda now: now[1:]] * 100)
        found = ids(spring_pages(listed.fetch, size=10))
        assert len(set(found)) == len(found)
        assert len([page for page in listed.asked if page["page"] == 0]) == 5

    def test_a_page_of_nothing_but_repetitions_is_not_the_end(self):
        listed = Rows(rows(*range(6)), [lambda now: [*rows("x", "y", "z"), *now]])
        assert ids(spring_pages(listed.fetch, size=3)) == ["0", "1", "2", "3", "4", "5"]

    @pytest.mark.parametrize(
        "body",
        [
            {"content": [], "totalPages": 0, "totalElements": 0},
            {"content": [], "totalPages": 5},
            {"content": []},
        ],
    )
    def test_an_empty_page_ends_it(self, body):
        asked = []
        assert list(spring_pages(lambda page: asked.append(page) or body)) == []
        assert len(asked) == 1

    def test_a_page_that_is_empty_too_early_ends_it(self):
        pages = [{"content": rows(1), "totalPages": 9}, {"content": [], "totalPages": 9}]
        assert list(spring_pages(lambda page: pages[page["page"]], size=1)) == rows(1)

    @pytest.mark.parametrize(("said", "requests"), [({"totalPages": 0}, 1), ({"totalPages": None}, 2), ({}, 2)])
    def test_where_no_number_of_pages_is_said_it_ends_when_nothing_new_comes(self, said, requests):
        asked = []
        body = {"content": rows(1, 2), **said}
        assert list(spring_pages(lambda page: asked.append(page) or body)) == rows(1, 2)
        assert len(asked) == requests

    def test_rows_are_told_apart_by_name_where_they_have_no_id(self):
        body = {"content": [{"name": "a"}, {"name": "b"}, {"name": "a"}], "totalPages": 1}
        assert [row["name"] for row in spring_pages(lambda _page: body)] == ["a", "b"]

    @pytest.mark.parametrize("row", [{"x": 1}, {"id": None}, "text", None])
    def test_rows_that_cannot_be_told_apart_all_count(self, row):
        assert list(spring_pages(lambda _page: {"content": [row, row], "totalPages": 1})) == [row, row]

    @pytest.mark.parametrize("body", [[], None, "text", 5])
    def test_an_answer_that_is_no_page(self, body):
        with pytest.raises(UnexpectedAnswer, match="a listing that is no page"):
            list(spring_pages(lambda _page: body))

    @pytest.mark.parametrize("body", NO_ROWS)
    def test_a_page_without_a_list_of_rows_is_not_the_empty_end(self, body):
        """Or what was bought would count as not there, and be bought again."""
        with pytest.raises(UnexpectedAnswer, match="no list of content"):
            list(spring_pages(lambda _page: body))


class TestListing:
    def test_on_the_wire(self, script, transport):
        script.on("/v2/things", (200, {"content": rows(1), "totalPages": 2}, {}), (200, {"content": rows(2)}, {}))
        filters = {
            "status": ["A", "B"],
            "name": "x y",
            "none": None,
            "nothing": [],
            "empty": "",
            "sort": Sort("a").desc,
        }
        assert ids(listing(transport, "/v2/things", filters, page_size=1)) == ["1", "2"]
        asked = sorted([("status", "A"), ("status", "B"), ("name", "x y"), ("sort", "a,desc"), ("size", "1")])
        assert script.queries("/v2/things")[:2] == [sorted([*asked, ("page", page)]) for page in "01"]

    def test_asks_nothing_before_it_is_read(self, script, transport):
        listing(transport, "/v2/things", {})
        assert script.asked == []

    def test_an_error_on_a_later_page_is_an_error(self, script, transport):
        script.on("/v2/things", (200, {"content": rows(1), "totalPages": 2}, {}), (404, {"title": "gone"}, {}))
        found = listing(transport, "/v2/things", {}, page_size=1)
        assert next(found) == {"id": "1"}
        with pytest.raises(NotFound):
            next(found)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (True, "true"),
        (False, "false"),
        (0, 0),
        (0.5, 0.5),
        ("x", "x"),
        (["a", 1], ["a", "1"]),
        (("a",), ["a"]),
        (Sort("createdAt"), "createdAt,asc"),
        (Sort("createdAt").desc.asc, "createdAt,asc"),
        (Sort("createdAt").desc, "createdAt,desc"),
    ],
)
def test_how_filters_are_written(value, written):
    assert given_filters({"name": value, "none": None, "nothing": (), "empty": ""}) == {"name": written}


class TestLinkedPages:
    BASE = "https://api.example.com/a/search"

    def read(self, pages, first=BASE):
        """The URLs asked for, when each URL answers a page with the link given for it."""
        asked = []

        def fetch(url):
            asked.append(url)
            return {"links": [{"rel": "self", "href": "/self"}, {"rel": "next", "href": pages.get(url)}]}

        assert len(list(linked_pages(fetch, first))) == len(asked)
        return [url.removeprefix("https://api.example.com") for url in asked]

    def test_relative_and_absolute_links(self):
        pages = {
            self.BASE: "/a/search?next=2",
            f"{self.BASE}?next=2": "https://api.example.com/a/search?next=3",
            f"{self.BASE}?next=3": "?next=4",
            f"{self.BASE}?next=4": "more",
        }
        read = ["/a/search", "/a/search?next=2", "/a/search?next=3", "/a/search?next=4", "/a/more"]
        assert self.read(pages) == read

    @pytest.mark.parametrize("back", ["", "?next=2", "https://api.example.com/a/search"])
    def test_a_link_to_a_page_that_was_read_ends_it(self, back):
        pages = {self.BASE: "?next=2", f"{self.BASE}?next=2": back}
        assert self.read(pages) == ["/a/search", "/a/search?next=2"]

    def test_is_lazy(self):
        asked = []
        pages = linked_pages(lambda url: asked.append(url) or {"links": [{"rel": "next", "href": "?more"}]}, self.BASE)
        assert asked == []
        next(pages)
        assert asked == [self.BASE]

    @pytest.mark.parametrize("page", [[], None, "text"])
    def test_an_answer_that_is_no_page(self, page):
        with pytest.raises(UnexpectedAnswer, match=f"{self.BASE}: an answer that is no page"):
            list(linked_pages(lambda _url: page, self.BASE))


@pytest.mark.parametrize(
    ("links", "expected"),
    [
        ([{"rel": "next", "href": "https://other.example.com/b?x=1"}], "https://other.example.com/b?x=1"),
        ([{"rel": "self", "href": "/s"}, {"rel": "next", "href": "/n"}], "/n"),
        ([{"rel": "self", "href": "/s"}, {"rel": "prev", "href": "/p"}], None),
        ([{"rel": "next", "href": ""}], None),
        ([{"rel": "next"}], None),
        (["next", None], None),
        ({"next": "/n"}, None),
        ([], None),
        (None, None),
    ],
)
def test_next_link(links, expected):
    assert (next_link({"links": links}) or {}).get("href") == expected
    assert next_link({}) is None
