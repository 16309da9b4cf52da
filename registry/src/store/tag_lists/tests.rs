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
    let mut was_read = false;
    let read = || {
        was_read = true;
        Err(())
    };
    let page = lists.page(&name(repository), None, 100, read);
    page.ok().map(|page| page.items).filter(|_| !was_read)
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
    let lists = TagLists::new(2 * EMPTY_LIST + 3);
    all(&lists, "a", &["x"]);
    all(&lists, "b", &["x"]);
    assert!(known(&lists, "a").is_some());
    all(&lists, "c", &["x"]);
    assert_eq!(known(&lists, "b"), None);
    assert!(known(&lists, "a").is_some() && known(&lists, "c").is_some());
    let many: Vec<String> = (0..100).map(|n| format!("t{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(all(&lists, "many", &many).len(), 100);
    assert_eq!(known(&lists, "many"), None);
    assert!(known(&lists, "a").is_some() && known(&lists, "c").is_some());
    assert_eq!(lock(&lists.known).cost, 2 * (EMPTY_LIST + 1));
}

#[test]
fn a_list_that_grows_takes_the_room_of_one_that_nobody_asks_for() {
    let lists = TagLists::new(3 * EMPTY_LIST);
    all(&lists, "a", &["x"]);
    all(&lists, "b", &["x"]);
    for number in 0..EMPTY_LIST {
        lists.note(&name("b"), &format!("t{number}").parse().unwrap(), true);
    }
    assert_eq!(known(&lists, "b").unwrap().len(), EMPTY_LIST + 1);
    assert_eq!(known(&lists, "a"), None);
}
