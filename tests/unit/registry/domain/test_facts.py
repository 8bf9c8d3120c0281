from certcore.intent import Intent
from registry.domain.facts import LONGEST, FactKind, facts_of


def of(kind: FactKind, intent: Intent) -> set[str]:
    return {value for found, value in facts_of(intent.name, intent) if found is kind}


def test_text_finds_a_name_by_the_beginning_of_each_part_but_not_by_a_public_suffix() -> None:
    intent = Intent(name="web-shop", dns_names=("*.my-shop.example.co.uk", "Example.co.uk"))
    assert of(FactKind.WORD, intent) == {
        "web-shop",
        "shop",
        "my-shop.example.co.uk",
        "shop.example.co.uk",
        "example.co.uk",
    }
    assert of(FactKind.DOMAIN, intent) == {"example.co.uk"}
    assert of(FactKind.DNS, intent) == {"*.my-shop.example.co.uk", "example.co.uk"}


def test_what_no_database_takes_is_left_out_of_a_damaged_intent() -> None:
    intent = Intent(name="shop", dns_names=("a\x00b.example.org", "", "x" * (LONGEST + 1), "..", "-"))
    facts = facts_of(intent.name, intent)
    assert (FactKind.WORD, "shop") in facts
    assert all(0 < len(value) <= LONGEST and "\x00" not in value for _, value in facts)
