//! What the lists of tags know, and when they must ask again.

use std::convert::Infallible;

use super::*;

fn tags(names: &[&str]) -> Vec<Tag> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

fn all(lists: &TagLists, repository: &str, read: &[&str]) -> Vec<Tag> {
    let read = || Ok::<_, Infallible>(tags(read));
    lists.page(&name(repository), None, 100, read).unwrap().items
}

fn known(lists: &TagLists, repository: &str) -> Option<Vec<Tag>> {
    let page = lists.known_page(&name(repository), None, 100);
    page.map(|page| page.items)
}

/// P125.
#[test]
fn a_list_is_read_once_and_kept_by_our_own_changes() {
    let lists = TagLists::default();
    lists.note(&name("a"), &"ignored".parse().unwrap(), true);
    assert_eq!(known(&lists, "a"), None);
    assert_eq!(all(&lists, "a", &["b", "a"]), tags(&["a", "b"]));
    lists.note(&name("a"), &"c".parse().unwrap(), true);
    lists.note(&name("a"), &"a".parse().unwrap(), false);
    assert_eq!(known(&lists, "a"), Some(tags(&["b", "c"])));
}

#[test]
fn pages_follow_each_other_and_limits_are_kept() {
    let lists = TagLists::default();
    let page = |after, limit| {
        let read = || Ok::<_, Infallible>(tags(&["V", "a", "b", "c"]));
        let page = lists.page(&name("a"), after, limit, read).unwrap();
        (page.items, page.has_more)
    };
    assert_eq!(page(None, 2), (tags(&["V", "a"]), true));
    assert_eq!(page(Some("a"), 2), (tags(&["b", "c"]), false));
    assert_eq!(page(Some("aa"), 1), (tags(&["b"]), true));
    assert_eq!(page(Some("c"), 1), (vec![], false));
}

/// P125.
#[test]
fn changes_made_while_a_list_is_read_count() {
    let lists = TagLists::default();
    let read = || {
        lists.note(&name("a"), &"new".parse().unwrap(), true);
        lists.note(&name("a"), &"old".parse().unwrap(), false);
        lists.note(&name("a"), &"both".parse().unwrap(), true);
        lists.note(&name("a"), &"both".parse().unwrap(), false);
        Ok::<_, Infallible>(tags(&["old", "stays", "both"]))
    };
    let page = lists.page(&name("a"), None, 100, read).unwrap();
    assert_eq!(page.items, tags(&["new", "stays"]));
    assert_eq!(known(&lists, "a"), Some(tags(&["new", "stays"])));
}

#[test]
fn a_list_that_could_not_be_read_is_not_known() {
    let lists = TagLists::default();
    assert_eq!(lists.page(&name("a"), None, 1, || Err("fault")), Err("fault"));
    assert_eq!(known(&lists, "a"), None);
    assert_eq!(all(&lists, "a", &["x"]), tags(&["x"]));
}

#[test]
fn a_list_that_was_let_go_of_is_read_again() {
    let lists = TagLists::default();
    all(&lists, "a", &["x"]);
    lists.forget(&name("a"));
    assert_eq!(known(&lists, "a"), None);
    assert_eq!(lock(&lists.known).cost, 0);
}

/// P125.
#[test]
fn the_list_not_asked_for_the_longest_goes_when_there_are_too_many_tags() {
    let lists = TagLists::new(2 * (EMPTY_LIST + 1));
    for name in ["a", "b", "c"] {
        all(&lists, name, &["x"]);
    }
    assert!(known(&lists, "a").is_some());
    all(&lists, "d", &["x"]);
    assert_eq!(known(&lists, "b"), None);
    assert!(["a", "c", "d"].iter().all(|name| known(&lists, name).is_some()));
    assert_eq!(lock(&lists.known).cost, 3 * (EMPTY_LIST + 1));
}

/// P125.
#[test]
fn the_largest_list_is_kept_beside_others_until_one_as_large_takes_its_place() {
    let lists = TagLists::new(2 * (EMPTY_LIST + 1));
    let many: Vec<String> = (0..100).map(|n| format!("t{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    all(&lists, "many", &many);
    for name in ["a", "b"] {
        all(&lists, name, &["x"]);
    }
    assert!(
        ["many", "a", "b"]
            .iter()
            .all(|name| known(&lists, name).is_some())
    );
    all(&lists, "as-many", &many);
    assert_eq!(known(&lists, "many"), None);
    assert!(known(&lists, "as-many").is_some());
}

#[test]
fn a_list_that_grows_takes_the_room_of_one_that_nobody_asks_for() {
    let lists = TagLists::new(2 * EMPTY_LIST);
    for name in ["a", "b", "c"] {
        all(&lists, name, &[]);
    }
    lists.note(&name("c"), &"t".parse().unwrap(), true);
    assert_eq!(lock(&lists.known).cost, 3 * EMPTY_LIST + 1);
    lists.note(&name("b"), &"t".parse().unwrap(), true);
    assert_eq!(known(&lists, "a"), None);
    assert!(known(&lists, "b").is_some() && known(&lists, "c").is_some());
}
