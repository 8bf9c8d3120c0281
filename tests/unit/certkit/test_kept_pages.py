from certkit.kept_pages import KeptPage, KeptPages


def page(size: int, etag: str = "e") -> KeptPage:
    return KeptPage(etag, b"x" * size)


def test_a_page_is_kept_until_another_takes_its_place() -> None:
    pages = KeptPages(most_bytes=10)
    pages.keep("/a", page(10, "old"))
    pages.keep("/a", page(10, "new"))
    assert pages.get("/a") == page(10, "new")
    assert pages.get("/b") is None


def test_what_comes_when_it_is_full_is_not_kept() -> None:
    pages = KeptPages(most_bytes=10)
    pages.keep("/a", page(6))
    pages.keep("/b", page(5))
    assert (pages.get("/a"), pages.get("/b")) == (page(6), None)
    pages.keep("/a", page(11))
    assert pages.get("/a") is None


def test_the_pages_of_a_list_that_are_no_part_of_it_any_more_are_forgotten() -> None:
    pages = KeptPages(most_bytes=10)
    for url in ("/a?after=1", "/a?after=2", "/ab?after=1"):
        pages.keep(url, page(1))
    pages.keep_only("/a", {"/a?after=2"})
    assert [pages.get(url) is not None for url in ("/a?after=1", "/a?after=2", "/ab?after=1")] == [False, True, True]
